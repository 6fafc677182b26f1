/** What one process counts, as plain numbers: the hot path only adds. `metrics.ts` shows them. */
export class Counters {
  connectionsOpen = 0
  connectionsAccepted = 0
  connectionsClosed = 0
  connectionsRefused = 0
  backendsOpen = 0
  backendConnects = 0
  requestsActive = 0
  retries = 0
  replays = 0
  bytesIn = 0
  bytesOut = 0
  tunnelsOpen = 0
  compressionsActive = 0
  tlsHandshakes = 0
  /** Datagrams handed on: of clients, towards machines; of machines, to clients of this edge. */
  datagramsIn = 0
  datagramsOut = 0
  readonly datagramDrops = new Map<string, number>()
  /** Flows that are followed now, and those that made room for others, ever: of this host as an edge and beside machines. */
  readonly datagramFlows = new Map<string, number>()
  readonly datagramEvictions = new Map<string, number>()
  readonly tlsFailures = new Map<string, number>()
  readonly faults = new Map<string, number>()
  /** Per app and status. */
  readonly responses = new Map<string, Responses>()
  /** By machine id: what this proxy has from it for its own clients. */
  readonly machines = new Map<string, MachineCounters>()

  /** Undefined: too many are counted already. HOT. */
  machine(machine: string, app: string): MachineCounters | undefined {
    const known = this.machines.get(machine)
    if (known !== undefined || machine === '' || this.machines.size >= APPS_MAX) return known
    const made = new MachineCounters(app)
    this.machines.set(machine, made)
    return made
  }

  fault(code: string): void {
    this.faults.set(code, (this.faults.get(code) ?? 0) + 1)
  }

  datagramDrop(reason: string): void {
    this.datagramDrops.set(reason, (this.datagramDrops.get(reason) ?? 0) + 1)
  }

  tlsFailure(code: string): void {
    this.tlsFailures.set(code, (this.tlsFailures.get(code) ?? 0) + 1)
  }

  /** HOT. */
  response(app: string, status: number, elapsedUs: number): void {
    let responses = this.responses.get(app)
    if (responses === undefined) {
      if (this.responses.size >= APPS_MAX) return
      responses = new Responses()
      this.responses.set(app, responses)
    }
    responses.add(status, elapsedUs)
  }
}

/** What one machine was asked for. */
export class MachineCounters {
  readonly app: string
  readonly responses = new Responses()
  readonly connects: StatusTimes = emptyTimes()

  constructor(app: string) {
    this.app = app
  }
}

/** Apps, and machines, whose responses one process counts. */
const APPS_MAX = 50_000

/** Upper bounds of the response time histogram, seconds. */
export const TIME_BOUNDS_S = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const TIME_BOUNDS_US = TIME_BOUNDS_S.map((seconds) => seconds * 1e6)

/** The responses of one app, by status. */
export class Responses {
  readonly byStatus = new Map<number, StatusTimes>()

  add(status: number, elapsedUs: number): void {
    let times = this.byStatus.get(status)
    if (times === undefined) {
      times = emptyTimes()
      this.byStatus.set(status, times)
    }
    addTime(times, elapsedUs)
  }
}

/** HOT. */
export function addTime(times: StatusTimes, elapsedUs: number): void {
  times.count += 1
  times.sumUs += elapsedUs
  for (let index = 0; index < TIME_BOUNDS_US.length; index += 1) {
    if (elapsedUs > (TIME_BOUNDS_US[index] as number)) continue
    times.buckets[index] = (times.buckets[index] as number) + 1
    break
  }
}

const emptyTimes = (): StatusTimes => ({
  count: 0,
  sumUs: 0,
  buckets: new Array<number>(TIME_BOUNDS_S.length).fill(0),
})

export interface StatusTimes {
  count: number
  sumUs: number
  /** Not cumulative: each response is in one. */
  readonly buckets: number[]
}
