/** What a node has counted since it started. */
export interface NodeCounters {
  broadcastsSent: number
  broadcastsDropped: number
  broadcastsReceived: number
  /** Received, but known already. */
  broadcastsKnown: number
  framesMalformed: number
  framesOfOtherClusters: number
  /** Outcomes of changesets given to the store. */
  applied: number
  buffered: number
  known: number
  refused: number
  /** Changes from clocks that are too far ahead to be followed. */
  clockDrifts: number
  syncChangesetsReceived: number
  syncPullsFailed: number
  syncChangesetsSent: number
  syncBytesSent: number
  syncServesFailed: number
}

export function newNodeCounters(): NodeCounters {
  return {
    broadcastsSent: 0,
    broadcastsDropped: 0,
    broadcastsReceived: 0,
    broadcastsKnown: 0,
    framesMalformed: 0,
    framesOfOtherClusters: 0,
    applied: 0,
    buffered: 0,
    known: 0,
    refused: 0,
    clockDrifts: 0,
    syncChangesetsReceived: 0,
    syncPullsFailed: 0,
    syncChangesetsSent: 0,
    syncBytesSent: 0,
    syncServesFailed: 0,
  }
}
