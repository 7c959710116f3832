/**
 * Requests to an object store in another thread: one side asks and has the bodies of what is to be created, the other side does it and asks
 * for them piece by piece. What they say are plain values, in order, between one pair of sides.
 */
import {
  type AskStore,
  type BodyReader,
  faultAnswerOf,
  interrupted,
  type ObjectAnswer,
  type ObjectRequest,
} from './object-request.js';

export type StoreCall =
  | { readonly call: 'ask'; readonly id: number; readonly request: ObjectRequest }
  | { readonly call: 'answer'; readonly id: number; readonly answer: ObjectAnswer }
  | {
      readonly call: 'pull';
      readonly id: number;
      readonly pull: number;
      readonly offset: number;
      readonly length: number;
    }
  | { readonly call: 'part'; readonly id: number; readonly pull: number; readonly bytes: Uint8Array }
  | { readonly call: 'noPart'; readonly id: number; readonly pull: number; readonly reason: string };

type Tell = (call: StoreCall) => void;

interface Question {
  readonly request: ObjectRequest;
  readonly read: BodyReader;
  readonly resolve: (answer: ObjectAnswer) => void;
}

export class StoreAsker {
  readonly #tell: Tell;
  readonly #questions = new Map<number, Question>();
  #lastId = 0;
  /** Why nobody answers any more. */
  #ended: string | undefined;

  constructor(tell: Tell) {
    this.#tell = tell;
  }

  readonly ask: AskStore = (request, read) => {
    if (this.#ended !== undefined) return Promise.resolve(interrupted(request, this.#ended));
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      this.#questions.set(id, { request, read, resolve });
      this.#tell({ call: 'ask', id, request });
    });
  };

  told(call: StoreCall): void {
    const question = this.#questions.get(call.id);
    if (call.call === 'answer') {
      this.#questions.delete(call.id);
      question?.resolve(call.answer);
    } else if (call.call === 'pull' && question !== undefined) {
      const { id, pull, offset, length } = call;
      question.read(offset, length).then(
        (bytes) => this.#tell({ call: 'part', id, pull, bytes }),
        (error: unknown) => this.#tell({ call: 'noPart', id, pull, reason: String(error) }),
      );
    }
  }

  /** The other side is gone. */
  end(reason: string): void {
    this.#ended = reason;
    for (const { request, resolve } of this.#questions.values()) resolve(interrupted(request, reason));
    this.#questions.clear();
  }
}

interface Pull {
  resolve(bytes: Uint8Array): void;
  reject(error: Error): void;
}

export class StoreAnswerer {
  readonly #tell: Tell;
  readonly #ask: AskStore;
  readonly #pulls = new Map<number, Pull>();
  #lastPull = 0;

  constructor(tell: Tell, ask: AskStore) {
    this.#tell = tell;
    this.#ask = ask;
  }

  told(call: StoreCall): void {
    if (call.call === 'ask') {
      void this.#answer(call.id, call.request);
    } else if (call.call === 'part') this.#taken(call.pull)?.resolve(call.bytes);
    else if (call.call === 'noPart') this.#taken(call.pull)?.reject(new Error(call.reason));
  }

  /** The other side is gone. */
  end(reason: string): void {
    for (const { reject } of this.#pulls.values()) reject(new Error(reason));
    this.#pulls.clear();
  }

  async #answer(id: number, request: ObjectRequest): Promise<void> {
    const read: BodyReader = (offset, length) =>
      new Promise((resolve, reject) => {
        const pull = ++this.#lastPull;
        this.#pulls.set(pull, { resolve, reject });
        this.#tell({ call: 'pull', id, pull, offset, length });
      });
    const answer = await this.#ask(request, read).catch(faultAnswerOf);
    this.#tell({ call: 'answer', id, answer });
  }

  #taken(pull: number): Pull | undefined {
    const found = this.#pulls.get(pull);
    this.#pulls.delete(pull);
    return found;
  }
}
