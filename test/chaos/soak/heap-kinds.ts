/**
 * What of a heap is data of the program, and what V8 keeps for its code, told by a heap snapshot: machine code and bytecode with their tables, what the
 * compiler has learned, and the shapes of objects. The statistics of V8 count little more than half of that as code.
 */
import { readFile } from 'node:fs/promises';

export interface HeapKinds {
  /** Objects, arrays, texts, closures; of buffers what is on the heap. */
  readonly dataBytes: number;
  readonly codeBytes: number;
}

/** As `node --heapsnapshot-signal` and `writeHeapSnapshot` write it. */
interface Snapshot {
  readonly snapshot: {
    readonly meta: {
      readonly node_fields: readonly string[];
      readonly node_types: readonly [readonly string[], ...unknown[]];
    };
  };
  readonly nodes: readonly number[];
  readonly strings: readonly string[];
}

const CODE_TYPES = new Set(['code', 'object shape']);
/** Outside the heap, with few exceptions: what is in buffers. */
const OUTSIDE = 'native';
/** Of type `hidden`; other nodes of it are data, such as the properties of large objects. */
const CODE_NAMES = new Set(['system / WeakArrayList']);

/** @throws SyntaxError: it is no whole snapshot */
export async function readHeapKinds(file: string): Promise<HeapKinds> {
  return heapKindsOf(JSON.parse(await readFile(file, 'utf8')) as Snapshot);
}

export function heapKindsOf({ snapshot, nodes, strings }: Snapshot): HeapKinds {
  const { node_fields, node_types } = snapshot.meta;
  const [types] = node_types;
  const [type, name, size] = ['type', 'name', 'self_size'].map((field) => node_fields.indexOf(field));
  if (type === undefined || name === undefined || size === undefined || Math.min(type, name, size) < 0)
    throw new Error(`a heap snapshot of another format: ${node_fields.join()}`);
  let [dataBytes, codeBytes] = [0, 0];
  for (let at = 0; at < nodes.length; at += node_fields.length) {
    const bytes = nodes[at + size] ?? 0;
    const typeName = types[nodes[at + type] ?? -1] ?? '';
    if (CODE_TYPES.has(typeName) || CODE_NAMES.has(strings[nodes[at + name] ?? -1] ?? '')) codeBytes += bytes;
    else if (typeName !== OUTSIDE) dataBytes += bytes;
  }
  return { dataBytes, codeBytes };
}
