/**
 * How much may be on its way to a peer: what the receiver has granted, less what it has not committed; and how much in a second, where a
 * link is to be spared.
 *
 * What is live waits behind what a backlog has on its way, on the link and for the receiver's disk. So a backlog gets no more than the
 * receiver is done with in a short time, whatever it has granted: a delay-based window as in LEDBAT (RFC 6817).
 */
import {
  ALONE_AFTER_MS,
  BACKLOG_ALONE_DELAY_MS,
  BACKLOG_BATCH_BYTES,
  BACKLOG_DELAY_MS,
  BACKLOG_MIN_BYTES,
  BACKLOG_SHARE,
} from './limits.js';

interface SentFrame {
  readonly bytes: number;
  readonly at: number;
  readonly messages: number;
  readonly isBacklog: boolean;
}

/**
 * What a backlog may have on its way, after one more acknowledgement. In a round of acknowledgements it grows to twice as much at most, where none took
 * any time, comes to rest where they take `targetMs`, and falls by half at most.
 * @param bytes of the frame @param tookMs from sending it to its acknowledgement
 */
export function backlogBytesAfter(before: number, bytes: number, tookMs: number, targetMs: number): number {
  return before + bytes * Math.max(-0.5, 1 - tookMs / targetMs);
}

export class SendWindow {
  readonly #bytesPerSecond: number;
  #grantedBytes = 0;
  #unackedBytes = 0;
  /** Messages that were acknowledged, over all links. */
  ackedMessages = 0;
  /** Of each frame that is not acknowledged, oldest first. */
  #frames: SentFrame[] = [];
  #first = 0;
  #tokens: number;
  #filledAt: number;
  #progressAt = 0;
  /** The quickest acknowledgement on this link: what it takes where nothing waits. */
  #quickestMs = Infinity;
  /** Of a backlog: on its way, and how much of it may be. */
  #backlogBytes = 0;
  #backlogMaxBytes = BACKLOG_MIN_BYTES;
  /** When something live went last. */
  #liveAt = 0;

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
    this.#backlogBytes = 0;
    this.#backlogMaxBytes = BACKLOG_MIN_BYTES;
    // What is live may be about to come, and the receiver may have just started.
    this.#liveAt = now;
  }

  /** Bytes that may go now. @param isBacklog leaves room for what is live, and does not make it wait; what it sends next may go beyond that by itself */
  room(isBacklog: boolean, now: number): number {
    if (!this.#hasTokens(now)) return 0;
    if (isBacklog && this.#backlogBytes > 0 && !this.#hasBacklogRoom(now)) return 0;
    const limit = isBacklog ? Math.floor(this.#grantedBytes * BACKLOG_SHARE) : this.#grantedBytes;
    return Math.max(0, limit - this.#unackedBytes);
  }

  /** Of a backlog: half of what may be on its way, so that the receiver has one batch to do while the other is acknowledged. */
  get backlogBatchBytes(): number {
    return Math.min(BACKLOG_BATCH_BYTES, this.#backlogMaxBytes / 2);
  }

  /** Whether a single message may go that is larger than the room: nothing else is on its way. */
  mayOverdraw(now: number): boolean {
    return this.#unackedBytes === 0 && this.#grantedBytes > 0 && this.#hasTokens(now);
  }

  sent(bytes: number, now: number, messages = 0, isBacklog = false): void {
    if (this.#unackedBytes === 0) this.#progressAt = now;
    this.#unackedBytes += bytes;
    if (isBacklog) this.#backlogBytes += bytes;
    else if (messages > 0) this.#liveAt = now;
    this.#frames.push({ bytes, at: now, messages, isBacklog });
    if (this.#bytesPerSecond > 0) this.#tokens -= bytes;
  }

  /** @returns false: the peer gives back what it did not get */
  returned(bytes: number, now: number): boolean {
    let left = bytes;
    for (let frame = this.#frames[this.#first]; left > 0; frame = this.#frames[this.#first]) {
      if (frame === undefined || frame.bytes > left) return false;
      left -= frame.bytes;
      this.#took(frame, now);
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

  /** Whether bytes may go that are nothing of forwarding: where there is a limit, half of a second is left to it. */
  hasSpare(now: number): boolean {
    return this.#hasTokens(now) && this.#tokens >= this.#bytesPerSecond / 2;
  }

  /** They have gone. */
  spend(bytes: number): void {
    if (this.#bytesPerSecond > 0) this.#tokens -= bytes;
  }

  /** When bytes may go again that the limit holds back; undefined: it holds back none. */
  refillAt(now: number): number | undefined {
    if (this.#hasTokens(now)) return undefined;
    return now + Math.ceil(((1 - this.#tokens) * 1000) / this.#bytesPerSecond);
  }

  #took({ bytes, at, isBacklog }: SentFrame, now: number): void {
    const tookMs = now - at;
    this.#quickestMs = Math.min(this.#quickestMs, tookMs);
    if (!isBacklog) return;
    // What was not used says nothing of what more would do.
    const isUsed = this.#backlogBytes + bytes >= this.#backlogMaxBytes;
    const after = backlogBytesAfter(this.#backlogMaxBytes, bytes, tookMs, this.#targetMs(now));
    if (isUsed || after < this.#backlogMaxBytes)
      this.#backlogMaxBytes = Math.min(Math.max(after, BACKLOG_MIN_BYTES), this.#grantedBytes);
    this.#backlogBytes -= bytes;
  }

  /** How long a backlog's frame may take. */
  #targetMs(now: number): number {
    const isAlone = now - this.#liveAt > ALONE_AFTER_MS;
    return this.#quickestMs * 2 + (isAlone ? BACKLOG_ALONE_DELAY_MS : BACKLOG_DELAY_MS);
  }

  #hasBacklogRoom(now: number): boolean {
    if (this.#backlogBytes < BACKLOG_MIN_BYTES) return true;
    return this.#backlogBytes < this.#backlogMaxBytes && this.oldestUnackedMs(now) <= this.#targetMs(now);
  }

  #hasTokens(now: number): boolean {
    if (this.#bytesPerSecond === 0) return true;
    const gained = ((now - this.#filledAt) * this.#bytesPerSecond) / 1000;
    this.#tokens = Math.min(this.#bytesPerSecond, this.#tokens + gained);
    this.#filledAt = now;
    return this.#tokens >= 1;
  }
}
