/** Names the style sheets that the editor makes while it runs, for the page's Content-Security-Policy. */
export const STYLE_NONCE = "mtac-editor";
