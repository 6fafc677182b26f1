/** For tests: any history of changes and writes leaves every device with the bytes that a plain model has. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import type { BlockDriver } from './block-driver.ts'
import { parseDeviceId } from './device-id.ts'
import { type OpenDevice, openDevice, PAGE_BYTES } from './device-pages.ts'
import { SIZE_STEP_BYTES } from './device-size.ts'

const STEP_PAGES = SIZE_STEP_BYTES / PAGE_BYTES
/** Within one chunk of a thin pool, in others, and beyond the size of a device that has not grown. */
const PAGES = [0, 1, 15, 16, 500, STEP_PAGES - 1, STEP_PAGES, 2 * STEP_PAGES - 1]
const SLOTS = 4

type Change =
  | { readonly kind: 'create' | 'remove' | 'extend'; readonly slot: number }
  | {
      readonly kind: 'clone'
      readonly slot: number
      readonly from: number
      readonly readOnly: boolean
    }
  | { readonly kind: 'write'; readonly slot: number; readonly page: number; readonly value: number }

const slot = fc.nat(SLOTS - 1)
const changes = fc.oneof(
  fc.record({ kind: fc.constantFrom('create', 'remove', 'extend'), slot }),
  fc.record({ kind: fc.constant('clone'), slot, from: slot, readOnly: fc.boolean() }),
  ...Array.from({ length: 3 }, () =>
    fc.record({
      kind: fc.constant('write'),
      slot,
      page: fc.constantFrom(...PAGES),
      value: fc.nat(),
    }),
  ),
) as fc.Arbitrary<Change>

interface Twin {
  readonly device: OpenDevice
  readonly isReadOnly: boolean
  sizePages: number
  readonly pages: Map<number, number>
}

export interface ModelOptions {
  readonly runs: number
  readonly changesMax: number
}

export function testAgainstModel(
  name: string,
  driver: () => BlockDriver,
  options: ModelOptions,
): void {
  test(`${name}: after any changes and writes, each device holds what was written to it`, async () => {
    let run = 0
    const body = async (history: Change[]) => {
      run += 1
      const first = { kind: 'create', slot: 0 } as const
      await new Trial(driver(), `model-${run}`).play([first, ...history])
    }
    const { changesMax: maxLength } = options
    const histories = fc.array(changes, { minLength: maxLength / 2, maxLength, size: 'max' })
    await fc.assert(fc.asyncProperty(histories, body), {
      numRuns: options.runs,
      endOnFailure: true,
    })
  })
}

class Trial {
  readonly #driver: BlockDriver
  readonly #prefix: string
  readonly #twins = new Map<number, Twin>()

  constructor(driver: BlockDriver, prefix: string) {
    this.#driver = driver
    this.#prefix = prefix
  }

  async play(history: readonly Change[]): Promise<void> {
    try {
      for (const change of history) await this.#apply(change)
      for (const [slot, twin] of this.#twins) this.#check(slot, twin)
    } finally {
      for (const slot of [...this.#twins.keys()]) await this.#remove(slot)
    }
  }

  async #apply(change: Change): Promise<void> {
    const { slot } = change
    const twin = this.#twins.get(slot)
    switch (change.kind) {
      case 'create':
        if (twin === undefined) await this.#create(slot)
        return
      case 'remove':
        if (twin !== undefined) await this.#remove(slot)
        return
      case 'extend':
        if (twin?.sizePages === STEP_PAGES && !twin.isReadOnly) await this.#extend(slot, twin)
        return
      case 'clone':
        if (twin === undefined) await this.#clone(slot, change.from, change.readOnly)
        return
      case 'write':
        if (twin === undefined || twin.isReadOnly || change.page >= twin.sizePages) return
        twin.device.write(change.page, change.value)
        twin.pages.set(change.page, change.value)
    }
  }

  async #create(slot: number): Promise<void> {
    await this.#driver.create(this.#id(slot), SIZE_STEP_BYTES)
    await this.#open(slot, { isReadOnly: false, sizePages: STEP_PAGES, pages: new Map() })
  }

  async #clone(slot: number, from: number, readOnly: boolean): Promise<void> {
    const source = this.#twins.get(from)
    if (source === undefined) return
    await this.#driver.clone(this.#id(slot), this.#id(from), { readOnly })
    const { sizePages } = source
    await this.#open(slot, { isReadOnly: readOnly, sizePages, pages: new Map(source.pages) })
  }

  async #open(slot: number, twin: Omit<Twin, 'device'>): Promise<void> {
    const device = await openDevice(this.#driver, this.#id(slot), { readOnly: twin.isReadOnly })
    this.#twins.set(slot, { ...twin, device })
  }

  async #extend(slot: number, twin: Twin): Promise<void> {
    await this.#driver.extend(this.#id(slot), 2 * SIZE_STEP_BYTES)
    twin.sizePages = 2 * STEP_PAGES
  }

  async #remove(slot: number): Promise<void> {
    const twin = this.#twins.get(slot)
    this.#twins.delete(slot)
    await twin?.device[Symbol.asyncDispose]()
    await this.#driver.remove(this.#id(slot))
  }

  #check(slot: number, { device, pages, sizePages }: Twin): void {
    const inside = PAGES.filter((page) => page < sizePages)
    const wanted = inside.map((page) => pages.get(page) ?? 0)
    assert.deepEqual(device.read(...inside), wanted, `slot ${slot}, pages ${inside}`)
  }

  #id(slot: number) {
    return parseDeviceId(`${this.#prefix}-${slot}`)
  }
}
