import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { TrialDisks } from '../contract/trial-disks.ts'
import type { GuestError } from '../errors.ts'
import { tracesOnHost } from '../traces-on-host.ts'
import { RuncRuntime } from './runc-runtime.ts'

const disks = new TrialDisks()
after(() => disks.remove())

test('a disk that holds no file system is told in the words of mount, and nothing is left', async () => {
  const runtime = new RuncRuntime({ stateDir: disks.stateDir })
  const path = join(disks.folder, 'noise')
  writeFileSync(path, Buffer.alloc(1 << 20, 'noise'))
  const spec = disks.spec({ rootfs: { serial: 'root', path } })
  await assert.rejects(runtime.boot(spec), ({ code, values }: GuestError) => {
    assert.equal(code, 'guest.boot_failed')
    assert.match(String(values['said']), /wrong fs type/)
    return true
  })
  assert.deepEqual(tracesOnHost([spec.id], disks.stateDir), [])
  assert.deepEqual(await runtime.list(), [])
})
