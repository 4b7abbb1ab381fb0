/** Where the built files lie: `index.html`, and beside it everything it loads, by relative addresses. */
export declare const folder: string;
