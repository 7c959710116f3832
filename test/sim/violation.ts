export class InvariantViolation extends Error {
  constructor(
    readonly invariant: string,
    text: string,
  ) {
    super(`${invariant}: ${text}`);
    this.name = 'InvariantViolation';
  }
}
