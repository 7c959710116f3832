/** What is asked of an object store that is elsewhere, and what it answers. Plain values: they pass between threads as they are. */
import { ObjectFault, type ObjectFaultKind } from '../object-store.js';

/** `identify`: which store it is. The others are those of ObjectStore. */
export type ObjectRequest =
  | { readonly kind: 'identify' }
  | { readonly kind: 'createsOnce' }
  | { readonly kind: 'create'; readonly key: string; readonly length: number }
  | { readonly kind: 'read'; readonly key: string; readonly offset: number; readonly length: number }
  | { readonly kind: 'stat'; readonly key: string };

/** `is`: what createsOnce and create resolve to. `none`: there is no such object. */
export type ObjectAnswer =
  | { readonly kind: 'identity'; readonly identity: string; readonly name: string }
  | { readonly kind: 'is'; readonly value: boolean }
  | { readonly kind: 'stat'; readonly length: number }
  /** Less than was asked for may come; `isEnd`: nothing is behind it. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array; readonly isEnd: boolean }
  | { readonly kind: 'none' }
  | FaultAnswer;

export interface FaultAnswer {
  readonly kind: 'fault';
  readonly fault: ObjectFaultKind;
  /** For people. */
  readonly text: string;
}

/** See ObjectBody. */
export type BodyReader = (offset: number, length: number) => Promise<Uint8Array>;

/** Never rejects. @param read the body of what is to be created */
export type AskStore = (request: ObjectRequest, read: BodyReader) => Promise<ObjectAnswer>;

export function faultAnswer(fault: ObjectFaultKind, text: string): FaultAnswer {
  return { kind: 'fault', fault, text };
}

export function faultAnswerOf(error: unknown): FaultAnswer {
  if (error instanceof ObjectFault) return faultAnswer(error.kind, error.message);
  return faultAnswer('other', error instanceof Error ? error.message : String(error));
}

/** Nobody knows whether it was done; what changes nothing was not. */
export function interrupted({ kind }: ObjectRequest, text: string): FaultAnswer {
  return faultAnswer(kind === 'create' ? 'unknown' : 'unreachable', text);
}
