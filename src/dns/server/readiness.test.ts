import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { pollUntil } from '#base'
import { watchReadable } from './readiness.ts'

const DEADLINE = { deadlineMs: 30_000 }

function pipe(t: TestContext): { readonly readEnd: number; readonly writeEnd: number } {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-dns-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'pipe')
  execFileSync('mkfifo', [path])
  const readEnd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  return { readEnd, writeEnd: openSync(path, constants.O_WRONLY | constants.O_NONBLOCK) }
}

test('who watches is told again of what comes later', async (t) => {
  const { readEnd, writeEnd } = pipe(t)
  let read = ''
  const watch = watchReadable(readEnd, () => {
    const bytes = Buffer.alloc(100)
    read += bytes.toString('latin1', 0, readSync(readEnd, bytes))
  })
  for (const word of ['first', 'second', 'third']) {
    writeSync(writeEnd, word)
    await pollUntil(word, () => read.endsWith(word), DEADLINE)
  }
  watch[Symbol.dispose]()
  closeSync(readEnd)
  closeSync(writeEnd)
})

test('an error of the descriptor, after which libuv watches no longer, does not end the watch', async (t) => {
  const { readEnd, writeEnd } = pipe(t)
  closeSync(readEnd) // EPOLLERR at the other end, from now on
  let told = 0
  const watch = watchReadable(writeEnd, () => {
    told += 1
  })
  await pollUntil('a second and third time', () => told >= 3, DEADLINE)
  watch[Symbol.dispose]()
  closeSync(writeEnd)
})
