/**
 * The process that carries all delayed links of one planet: `main.ts CONFIG.json`. Prints one line
 * on standard output, {"type":"ready"} or {"type":"failed", ...ErrorJson}, and nothing after it;
 * logs JSON lines on standard error. Ends on SIGTERM or SIGINT, or when no link is left.
 */
import { randomInt } from 'node:crypto'
import { constants, setPriority } from 'node:os'
import { errorCode, GodwitError, seededRandom } from '#base'
import { readDelayConfig } from './config.ts'
import type { ControlReply, ControlRequest } from './control.ts'
import { type ControlServer, serveControl } from './control-server.ts'
import { DelayError } from './errors.ts'
import { Forwarder } from './forwarder.ts'

const print = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)
const log = (event: string, values: object = {}) =>
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), event, ...values })}\n`)

async function run(configFile: string | undefined): Promise<void> {
  if (configFile === undefined) {
    throw new DelayError('delay.config_bad', { what: 'no configuration given' })
  }
  const config = readDelayConfig(configFile)
  const forwarder = new Forwarder(config, {
    random: seededRandom(randomInt(2 ** 32)),
    onLinkGone: (link, reason) => log('link gone', { link, reason }),
  })
  const stop = stopSignal() // before "ready": who reads that may signal at once
  let control: ControlServer | undefined
  try {
    if (config.controlSocket !== undefined) {
      control = await serveControl(config.controlSocket, (request) => answer(forwarder, request))
    }
    favourThisThread()
    print({ type: 'ready', links: forwarder.linkCount })
    log('ready', { links: forwarder.linkCount })
    await carry(forwarder, stop)
  } finally {
    control?.close()
    forwarder[Symbol.dispose]()
  }
}

/** Aborts on SIGTERM or SIGINT. */
function stopSignal(): AbortSignal {
  const controller = new AbortController()
  const stop = (signal: NodeJS.Signals) => {
    log('stopping', { signal })
    controller.abort()
  }
  process.once('SIGTERM', stop).once('SIGINT', stop)
  return controller.signal
}

/** Carries frames until `stop` aborts or no link is left. */
function carry(forwarder: Forwarder, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const turn = () => {
      if (stop.aborted || forwarder.linkCount === 0) return resolve()
      forwarder.turn()
      setImmediate(turn) // lets Node see to its signals and sockets first
    }
    turn()
  })
}

function answer(forwarder: Forwarder, request: ControlRequest): ControlReply {
  switch (request.op) {
    case 'stats':
      return { ok: true, links: forwarder.stats }
    case 'setDelay':
      forwarder.setDelay(request.link, request.delayUs, request.jitterUs ?? 0)
      return { ok: true }
  }
}

/** A link that is late because a neighbour's build is busy would be no measure of anything. */
function favourThisThread(): void {
  try {
    setPriority(constants.priority.PRIORITY_HIGHEST)
  } catch (error) {
    log('no priority', { code: errorCode(error) })
  }
}

try {
  await run(process.argv[2])
} catch (error) {
  if (!(error instanceof GodwitError)) throw error
  print({ type: 'failed', ...error.toJSON() })
  process.exitCode = 1
}
