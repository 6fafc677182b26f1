/** Flows as one process hands them to the next. Ends are numbers: see endpoint.ts. */
export interface HandedFlows {
  readonly edge: readonly EdgeFlowRecord[]
  readonly worker: readonly WorkerFlowRecord[]
}

export const NO_FLOWS: HandedFlows = { edge: [], worker: [] }

export type EdgeFlowRecord = readonly [
  service: number,
  client: number,
  machine: string,
  hostId: string,
  ...FlowUse,
]

export type WorkerFlowRecord = readonly [
  /** Where the machine hears it. */
  at: number,
  client: number,
  machine: string,
  edgeId: string,
  /** What the client sent to. */
  to: number,
  ...FlowUse,
]

type FlowUse = readonly [idleMs: number, isAnswered: boolean]
