// Preloaded into every child: when the demo is gone, however it went (kill -9 too), its end of the channel closes, and
// so does the child. The examples themselves do not know of it.
process.on('disconnect', () => process.exit());
process.channel?.unref();
