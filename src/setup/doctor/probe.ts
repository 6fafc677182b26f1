import type { CommandOptions, CommandResult } from '../command.ts'

/** ok: works here. degraded: something weaker takes its place. missing: not there. */
export type ProbeState = 'ok' | 'degraded' | 'missing'

/** What a probe saw. The last two are for states other than ok. */
export interface Verdict {
  readonly state: ProbeState
  /** What was seen, with versions and figures. One line. */
  readonly detail: string
  /** What the user will notice, in plain words. */
  readonly consequence?: string
  /** What the user can do about it, a command where there is one. */
  readonly fix?: string
}

export interface Finding extends Verdict {
  readonly name: string
  /** Without it nothing of the project runs. */
  readonly required: boolean
  readonly tookMs: number
}

/** One thing to know about this machine, found out by trying it. */
export interface Probe {
  readonly name: string
  readonly required: boolean
  /** Tried only by root. */
  readonly needsRoot: boolean
  readonly deadlineMs: number
  /** Leaves nothing behind. A thrown error is a verdict too: missing, with its message. */
  examine(context: ProbeContext): Promise<Verdict>
}

export interface ProbeContext {
  readonly signal: AbortSignal
  /** `build/` of the checkout: the trial guest and cached verdicts. */
  readonly buildFolder: string
  /** Where machines and volumes will live. */
  readonly stateFolder: string
  /** An empty folder of this probe alone, removed after it. */
  readonly scratchFolder: string
  /** Try again what an earlier doctor remembers. */
  readonly fresh: boolean
  /** Runs a command within the probe's deadline. */
  run(command: string, args: readonly string[], extra?: RunExtra): Promise<CommandResult>
  /**
   * Runs a shell script in network, mount and process namespaces of its own: links, mounts and
   * processes that it makes vanish with it. Arguments are `$1`, `$2` and so on.
   */
  runInNamespaces(script: string, args?: readonly string[]): Promise<CommandResult>
}

export type RunExtra = Partial<Omit<CommandOptions, 'signal'>>
