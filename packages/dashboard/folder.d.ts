/** The folder of the built files: `index.html`, and beside it everything it loads, by relative addresses. */
export declare const folder: string;
