/** What a slip of the finger leaves alone: case and the separators of the various spellings. */
function spelling(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, '');
}

/**
 * Edits (insert, delete, replace, swap of neighbours) between two words: the optimal string alignment distance.
 * Takes time and memory in the product of the lengths; meant for names.
 */
export function editDistance(left: string, right: string): number {
  const width = right.length + 1;
  const distances = new Uint16Array((left.length + 1) * width);
  const at = (row: number, column: number): number => distances[row * width + column] as number;
  for (let row = 0; row <= left.length; row += 1) distances[row * width] = row;
  for (let column = 0; column <= right.length; column += 1) distances[column] = column;
  for (let row = 1; row <= left.length; row += 1) {
    for (let column = 1; column <= right.length; column += 1) {
      const replaced = at(row - 1, column - 1) + (left[row - 1] === right[column - 1] ? 0 : 1);
      let cost = Math.min(at(row - 1, column) + 1, at(row, column - 1) + 1, replaced);
      const swapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (row > 1 && column > 1 && swapped) cost = Math.min(cost, at(row - 2, column - 2) + 1);
      distances[row * width + column] = cost;
    }
  }
  return at(left.length, right.length);
}

/** Longer than any name of ours by far; such words are not slips of the finger. */
const NAME_MAX_CHARS = 128;

/** The candidate that `name` was probably meant to be: at most a third of it, and never more than three edits, away. */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  if (name.length > NAME_MAX_CHARS) return undefined;
  const wanted = spelling(name);
  let best: string | undefined;
  let bestDistance = Math.min(3, Math.max(1, Math.floor(wanted.length / 3))) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(wanted, spelling(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}
