/** What happens during a deploy, for whoever shows it. A machine's events come in order. */
export type DeployEvent =
  | {
      readonly kind: 'planned'
      readonly updates: number
      readonly creates: number
      readonly destroys: number
    }
  | { readonly kind: 'ip'; readonly ip: string }
  | {
      readonly kind: 'volume'
      readonly volume: string
      readonly name: string
      readonly region: string
    }
  | {
      readonly kind: 'release_command'
      readonly phase: 'started' | 'done'
      readonly machine: string
    }
  | {
      readonly kind: 'machine'
      readonly machine: string
      readonly group: string
      readonly region: string
      readonly phase: MachinePhase
      /** More of the phase: `2/3` checks, why it failed. */
      readonly detail?: string
    }
  | { readonly kind: 'stage'; readonly text: string }
  | { readonly kind: 'warning'; readonly text: string }
  | { readonly kind: 'rolling_back'; readonly machines: number }

export type MachinePhase =
  | 'waiting'
  | 'creating'
  | 'updating'
  | 'starting'
  | 'watching'
  | 'checking'
  | 'healthy'
  | 'updated'
  | 'stopping'
  | 'destroying'
  | 'destroyed'
  | 'failed'
  | 'rolled_back'

export type Tell = (event: DeployEvent) => void
