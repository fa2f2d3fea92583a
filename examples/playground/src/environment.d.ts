/** mtac's version, put in by the build. */
declare const MTAC_VERSION: string;

/** A file's text, put in by the build. */
declare module "*.mta?raw" {
  const text: string;
  export default text;
}

declare module "*.css";
