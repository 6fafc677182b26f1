export type Write<Input, Result> = (call: Call, input: Input) => Result

/** Who wants it, for the audit log. */
export interface Call {
  /** A user, a token (`<uuid>@tokens.internal`), or a program (`cli:root`). */
  readonly who: string
  readonly requestId: string
}
