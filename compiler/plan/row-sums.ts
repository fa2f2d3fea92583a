/** Places that are looked at, so that planning ends in time, however long a call is. */
const MOST_PLACES = 2 ** 14;

/**
 * The sum of what strips or tiles of rows take that begin at `first` and so many rows apart. Of very many, the middle of so many stands for them: of an
 * even number of them in turns the one before and the one behind the middle.
 */
export function sumOverRows(
  first: number,
  end: number,
  apart: number,
  each: (row: number) => number,
): number {
  const count = Math.ceil((end - first) / apart);
  const together = Math.ceil(count / MOST_PLACES);
  let sum = 0;
  for (let index = 0, turn = 0; index < count; index += together, turn = 1 - turn) {
    const neighbours = Math.min(together, count - index);
    const middle = index + Math.floor((neighbours - 1 + turn) / 2);
    sum += neighbours * each(first + middle * apart);
  }
  return sum;
}
