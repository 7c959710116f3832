/** A topic name of the run. */
export class Topic {
  constructor(
    readonly id: number,
    readonly name: string,
    /** Only clients of the run publish on it. */
    readonly judged: boolean,
    /** Several nodes write it, which may be apart. */
    readonly concurrent: boolean,
  ) {}
}
