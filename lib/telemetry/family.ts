/** A family of samples that are taken from a status when somebody asks. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family<S> {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  samples(status: S): readonly Sample[];
}
