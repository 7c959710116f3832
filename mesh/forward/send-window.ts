/**
 * How much may be on its way to a peer: what the receiver has granted, less what it has not committed; and how much in a second, where a
 * link is to be spared.
 */
import { BACKLOG_DELAY_MS, BACKLOG_SHARE } from './limits.js';

export class SendWindow {
  readonly #bytesPerSecond: number;
  #grantedBytes = 0;
  #unackedBytes = 0;
  /** Messages that were acknowledged, over all links. */
  ackedMessages = 0;
  /** Of each frame that is not acknowledged, oldest first. */
  #frames: { readonly bytes: number; readonly at: number; readonly messages: number }[] = [];
  #first = 0;
  #tokens: number;
  #filledAt: number;
  #progressAt = 0;
  /** The quickest acknowledgement on this link: what it takes where nothing waits. */
  #quickestMs = Infinity;

  /** @param bytesPerSecond 0: no limit */
  constructor(bytesPerSecond: number, now: number) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#tokens = bytesPerSecond;
    this.#filledAt = now;
  }

  get grantedBytes(): number {
    return this.#grantedBytes;
  }

  get unackedBytes(): number {
    return this.#unackedBytes;
  }

  /** A new link. */
  open(grantedBytes: number, now: number): void {
    this.#grantedBytes = grantedBytes;
    this.#unackedBytes = 0;
    this.#frames = [];
    this.#first = 0;
    this.#progressAt = now;
    this.#quickestMs = Infinity;
  }

  /**
   * Bytes that may go now. @param isBacklog leaves room for what is live, and does not make it wait: what is on its way waits at the receiver for
   * what is before it, so that no more goes where that takes much longer than an acknowledgement has to
   */
  room(isBacklog: boolean, now: number): number {
    if (!this.#hasTokens(now)) return 0;
    if (isBacklog && this.oldestUnackedMs(now) > this.#quickestMs * 2 + BACKLOG_DELAY_MS) return 0;
    const limit = isBacklog ? Math.floor(this.#grantedBytes * BACKLOG_SHARE) : this.#grantedBytes;
    return Math.max(0, limit - this.#unackedBytes);
  }

  /** Whether a single message may go that is larger than the room: nothing else is on its way. */
  mayOverdraw(now: number): boolean {
    return this.#unackedBytes === 0 && this.#grantedBytes > 0 && this.#hasTokens(now);
  }

  sent(bytes: number, now: number, messages = 0): void {
    if (this.#unackedBytes === 0) this.#progressAt = now;
    this.#unackedBytes += bytes;
    this.#frames.push({ bytes, at: now, messages });
    if (this.#bytesPerSecond > 0) this.#tokens -= bytes;
  }

  /** @returns false: the peer gives back what it did not get */
  returned(bytes: number, now: number): boolean {
    let left = bytes;
    for (let frame = this.#frames[this.#first]; left > 0; frame = this.#frames[this.#first]) {
      if (frame === undefined || frame.bytes > left) return false;
      left -= frame.bytes;
      this.#quickestMs = Math.min(this.#quickestMs, now - frame.at);
      this.ackedMessages += frame.messages;
      this.#first++;
    }
    if (this.#first > 1024 && this.#first * 2 > this.#frames.length) {
      this.#frames.splice(0, this.#first);
      this.#first = 0;
    }
    this.#unackedBytes -= bytes;
    if (bytes > 0) this.#progressAt = now;
    return true;
  }

  oldestUnackedMs(now: number): number {
    const frame = this.#frames[this.#first];
    return frame === undefined ? 0 : now - frame.at;
  }

  /** Since bytes are on their way and none came back; 0: none are. */
  idleMs(now: number): number {
    return this.#unackedBytes === 0 ? 0 : now - this.#progressAt;
  }

  /** When bytes may go again that the limit holds back; undefined: it holds back none. */
  refillAt(now: number): number | undefined {
    if (this.#hasTokens(now)) return undefined;
    return now + Math.ceil(((1 - this.#tokens) * 1000) / this.#bytesPerSecond);
  }

  #hasTokens(now: number): boolean {
    if (this.#bytesPerSecond === 0) return true;
    const gained = ((now - this.#filledAt) * this.#bytesPerSecond) / 1000;
    this.#tokens = Math.min(this.#bytesPerSecond, this.#tokens + gained);
    this.#filledAt = now;
    return this.#tokens >= 1;
  }
}
