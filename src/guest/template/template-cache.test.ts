import assert from 'node:assert/strict'
import {
  closeSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { systemRandom } from '#base'
import { TemplateCache } from './template-cache.ts'

function makeCache(t: TestContext, bytesMax = 1000) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-template-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return { folder, cache: new TemplateCache({ folder, bytesMax, random: systemRandom }) }
}

const saving = (text: string) => async (path: string) => writeFileSync(path, text, { flag: 'wx' })

function read(cache: TemplateCache, key: string): string | undefined {
  const descriptor = cache.open(key)
  if (descriptor === undefined) return undefined
  try {
    return readFileSync(descriptor, 'utf8')
  } finally {
    closeSync(descriptor)
  }
}

test('what was added is found by its key, until it is removed', async (t) => {
  const { cache } = makeCache(t)
  assert.equal(read(cache, 'a'), undefined)
  assert.equal(await cache.add('a', saving('one')), true)
  assert.equal(read(cache, 'a'), 'one')
  cache.remove('a')
  cache.remove('a')
  assert.equal(read(cache, 'a'), undefined)
})

test('a template whose making fails never appears, and leaves nothing', async (t) => {
  const { cache, folder } = makeCache(t)
  const fail = async (path: string) => {
    writeFileSync(path, 'half')
    throw new Error('killed')
  }
  await assert.rejects(cache.add('a', fail), /killed/)
  assert.deepEqual(readdirSync(folder), [])
  assert.equal(await cache.add('a', saving('whole')), true)
  assert.equal(read(cache, 'a'), 'whole')
})

test('of two that are made of one key at once, one is made', async (t) => {
  const { cache } = makeCache(t)
  const gate = Promise.withResolvers<void>()
  const slow = cache.add('a', async (path) => {
    await gate.promise
    writeFileSync(path, 'first')
  })
  assert.equal(await cache.add('a', saving('second')), false)
  gate.resolve()
  assert.equal(await slow, true)
  assert.equal(read(cache, 'a'), 'first')
})

test('when there are too many bytes, those go that were not used for longest', async (t) => {
  const { cache, folder } = makeCache(t, 10)
  for (const [index, key] of ['a', 'b', 'c'].entries()) {
    await cache.add(key, saving('1234'.slice(0, 3)))
    utimesSync(join(folder, `${key}.template`), index, index)
  }
  assert.equal(read(cache, 'a'), '123') // and is the youngest now
  const reader = cache.open('b')
  assert.ok(reader !== undefined)
  utimesSync(join(folder, 'b.template'), 1, 1)
  await cache.add('d', saving('123'))
  assert.equal(read(cache, 'b'), undefined)
  assert.equal(readFileSync(reader, 'utf8'), '123') // whoever has it open reads on
  closeSync(reader)
  assert.deepEqual([read(cache, 'a'), read(cache, 'c'), read(cache, 'd')], ['123', '123', '123'])
})

test('drafts of a process that was killed go after a while', async (t) => {
  const { cache, folder } = makeCache(t)
  writeFileSync(join(folder, 'old.new'), '')
  utimesSync(join(folder, 'old.new'), 1, 1)
  writeFileSync(join(folder, 'young.new'), '')
  await cache.add('a', saving('one'))
  assert.deepEqual(readdirSync(folder).sort(), ['a.template', 'young.new'])
})
