/** One daemon of a host, as it is started and looked at. */
export interface Part {
  /** Names it everywhere: `flyd`, `corrosion`, `proxy`. Letters, digits and `-`. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** How one tells that it serves. Absent: it does once it runs. */
  readonly probe?: PartProbe
  /**
   * Parts that must have been ready once before this one is started. It is not stopped when they end later:
   * every part survives the others.
   */
  readonly after?: readonly string[]
  /** Has it read its configuration anew, without a restart, when what stands there has changed. */
  readonly reloadSignal?: NodeJS.Signals
  /**
   * A new process of it takes over from the one that runs, which then ends by itself once it has drained: a restart
   * leaves no gap. Its probe must tell the two apart: see `own`.
   */
  readonly takesOver?: boolean
  /** From SIGTERM to SIGKILL. @default 10 s */
  readonly stopGraceMs?: number
}

export type PartProbe =
  /** Ready when it answers 200. */
  | { readonly kind: 'http'; readonly url: string }
  /** Ready when it accepts a connection. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** The same at this host's address on the mesh, whose state the folder has. */
  | { readonly kind: 'mesh'; readonly folder: string; readonly port: number }
  /** Ready when it accepts a connection on this socket file. */
  | { readonly kind: 'unix'; readonly path: string }
  /** Ready when that very process answers GET /healthz on this socket file: with JSON that has its `pid`. */
  | { readonly kind: 'own'; readonly path: string }
