/** A copy of plain data in which the value at a path is another: a number or text, or what a function makes of the old one. */
export function changedAt<T>(data: T, path: readonly (string | number)[], value: unknown): T {
  const copy: T = structuredClone(data);
  let place: unknown = copy;
  for (const key of path.slice(0, -1)) place = Reflect.get(objectAt(place, path), key);
  const key = path.at(-1) ?? "";
  const holder = objectAt(place, path);
  Reflect.set(holder, key, typeof value === "function" ? value(Reflect.get(holder, key)) : value);
  return copy;
}

function objectAt(value: unknown, path: readonly (string | number)[]): object {
  if (typeof value !== "object" || value === null)
    throw new RangeError(`there is nothing at ${path.join(".")}`);
  return value;
}
