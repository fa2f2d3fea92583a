/** Something that fits a device, or the limit that it breaks and by how much. */
export type Fitted<T> =
  | { readonly fits: true; readonly value: T }
  | { readonly fits: false; readonly reason: string };

export function doesNotFit(reason: string): { readonly fits: false; readonly reason: string } {
  return { fits: false, reason };
}
