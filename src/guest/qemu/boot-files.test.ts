import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { newMachineId, systemRandom } from '#base'
import { findBootFiles } from './boot-files.ts'
import { QemuRuntime } from './qemu-runtime.ts'

test('a machine with less memory than its kernel needs is refused by name, before anything is made', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gg-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const stateDir = join(folder, 's')
  const runtime = new QemuRuntime({ stateDir, cacheDir: join(folder, 'c') })
  const { memoryMinMib, kernelPath } = findBootFiles({})
  const id = newMachineId(systemRandom)
  const spec = {
    ...{ id, cpu: { kind: 'shared', count: 1 } as const, memoryMib: memoryMinMib - 1 },
    rootfs: { serial: 'root', path: join(folder, 'root') },
  }
  const values = { machine: id, memoryMib: memoryMinMib - 1, memoryMinMib, kernel: kernelPath }
  await assert.rejects(runtime.boot(spec), { code: 'guest.spec_bad', values })
  assert.ok(!existsSync(stateDir))
})

test('a kernel of somebody else boots with whatever memory it is given', () => {
  assert.equal(findBootFiles({ kernelPath: '/somebody/vmlinux' }).memoryMinMib, 1)
})
