/** Saves a text as a file of the browser. */
export function save(name: string, text: string, type: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const anchor = document.createElement('a');
  anchor.href = url;
  anchor.download = name;
  anchor.click();
  // not in this turn: some browsers read it only after the click
  window.setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
