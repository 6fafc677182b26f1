/** For tests: what is left of a process that was killed in the middle of anything. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import test from 'node:test'
import { errorCode, pollUntil, type Random, seededRandom, systemClock } from '#base'
import { testSeed } from '#property'
import type { BlockDriver, Device } from './block-driver.ts'
import { parseDeviceId } from './device-id.ts'
import { openDevice, writeTo } from './device-pages.ts'
import { SIZE_STEP_BYTES } from './device-size.ts'
import { type DriverConfig, openBlockDriver } from './driver-config.ts'

/** Beside this file, and of its kind: in a guest both are bundles. */
const WORKER = join(import.meta.dirname, `crash-worker${extname(import.meta.filename)}`)
const PAGES = Array.from({ length: 32 }, (_, index) => index * 32)
const base = parseDeviceId('base')
const worker = parseDeviceId('worker')

export interface CrashOptions {
  readonly rounds: number
  /** A process lives at most so long after it began. */
  readonly lifeMs: number
  /** What nobody may find once the pool was opened anew: files or volumes that are no devices. */
  readonly leftovers: () => Promise<readonly string[]>
}

/** The pool of `config` belongs to this test alone. */
export function testCrashes(name: string, config: () => DriverConfig, options: CrashOptions): void {
  const promise = 'a process killed at any moment leaves devices that are whole, and nothing else'
  test(`${name}: ${promise} (replay: SEED=${testSeed})`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'godwit-crash-'))
    try {
      const file = join(folder, 'file')
      writeFileSync(file, Buffer.alloc(SIZE_STEP_BYTES))
      for (const page of PAGES) writeTo(file, page, 2)
      await makeBase(await openBlockDriver(config()))
      const random = seededRandom(testSeed)
      for (let round = 0; round < options.rounds; round += 1) {
        await runAndKill({ config: config(), file, seed: testSeed + round }, random, options.lifeMs)
        const driver = await openBlockDriver(config())
        assert.deepEqual(await options.leftovers(), [])
        for (const device of await driver.list()) await checkDevice(driver, device)
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
}

async function makeBase(driver: BlockDriver): Promise<void> {
  await driver.create(base, SIZE_STEP_BYTES)
  await using device = await openDevice(driver, base)
  for (const page of PAGES) device.write(page, 1)
}

/** With all that it started, as a service manager does. */
async function runAndKill(orders: object, random: Random, lifeMs: number): Promise<void> {
  const words = ['--disable-warning=ExperimentalWarning', WORKER, JSON.stringify(orders)]
  const child = spawn(process.execPath, words, {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'] as const,
  })
  const gone = once(child, 'exit')
  try {
    for await (const _ready of child.stdout) break // ends as well when the worker does
    await systemClock.sleep(random.int(lifeMs))
  } finally {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
  }
  const [code, signal] = await gone
  assert.equal(signal, 'SIGKILL', `the worker ended by itself: ${code}`)
  // What it was just starting may hold its files for a moment longer.
  await pollUntil('the end of all that it started', () => isGone(child.pid), { deadlineMs: 30_000 })
}

/** No process of a group is left, but those whose parent has still to ask how they ended. */
const isGone = (group: number | undefined): boolean =>
  readdirSync('/proc').every((name) => {
    if (!/^\d+$/.test(name)) return true
    const [state, , processGroup] = statOf(name)
    return Number(processGroup) !== group || state === 'Z'
  })

/** Source: proc(5), /proc/pid/stat, from its third field on. */
function statOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ESRCH') return [] // it has just ended
    throw error
  }
}

async function checkDevice(driver: BlockDriver, device: Device): Promise<void> {
  if (device.id === base) return
  const value = device.id.startsWith('clone-') ? 1 : 2
  assert.equal(device.made, value === 1 ? 'cloned' : 'imported')
  assert(device.sizeBytes === SIZE_STEP_BYTES || device.sizeBytes === 2 * SIZE_STEP_BYTES)
  await driver.detach(device.id, worker)
  {
    await using open = await openDevice(driver, device.id)
    const wanted = PAGES.map(() => value)
    assert.deepEqual(open.read(...PAGES), wanted, `${device.id} is not whole`)
  }
  await driver.remove(device.id)
}
