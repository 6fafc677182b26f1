import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { answerFile } from './file-answer.ts'
import { StaticFiles } from './static-files.ts'
import { readOrder, writeOrder } from './static-order.ts'

const rule = (guest_path: string, url_prefix: string, more = {}) => ({
  guest_path,
  url_prefix,
  ...more,
})
const pathOf = (files: StaticFiles | undefined, target: string) => files?.find(target)?.path

test('the longest prefix wins, of equal ones the first, and only whole segments fit', () => {
  const files = StaticFiles.of([
    rule('/app/public', '/'),
    rule('/app/img/', '/static/img'),
    rule('/app/static', '/static/'),
    rule('/other', '/static'),
  ])
  assert.equal(pathOf(files, '/a.txt'), '/app/public/a.txt')
  assert.equal(pathOf(files, '/static/a.css?v=1'), '/app/static/a.css')
  assert.equal(pathOf(files, '/static/img/b%20c.png'), '/app/img/b c.png')
  assert.equal(pathOf(files, '/statics/a.css'), '/app/public/statics/a.css')
  const one = StaticFiles.of([rule('/app', '/static')])
  assert.equal(pathOf(one, '/statics/a'), undefined)
  assert.equal(pathOf(one, '/static'), undefined)
  assert.equal(pathOf(one, '/static/'), undefined, 'a folder has no file of its own')
})

test('a folder is its index document, where one is named', () => {
  const files = StaticFiles.of([rule('/site', '/', { index_document: 'index.html' })])
  assert.equal(pathOf(files, '/'), '/site/index.html')
  assert.equal(pathOf(files, '/docs/'), '/site/docs/index.html')
  assert.equal(pathOf(files, '/docs'), '/site/docs')
  const odd = StaticFiles.of([rule('/site', '/', { index_document: '../etc/passwd' })])
  assert.equal(pathOf(odd, '/'), undefined)
})

test('no target leads out of the root, whatever is in it', () => {
  const files = StaticFiles.of([rule('/app/public', '/')])
  for (const target of [
    '/../etc/passwd',
    '/a/../../etc/passwd',
    '/%2e%2e/etc/passwd',
    '/..%2fetc/passwd',
    '/..%5c..%5cetc',
    '/a/./b',
    '//etc/passwd',
    '/a//b',
    '/a%00.txt',
    '/a%0ab',
    '/%ff',
    '/%',
    '/a\\b',
  ]) {
    assert.equal(pathOf(files, target), undefined, target)
  }
  const pieces = fc.constantFrom('..', '.', '/', '%2e', '%2f', '%5c', 'a', '%00', '?', '%25', '//')
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
      const path = pathOf(files, `/${parts.join('')}`)
      if (path === undefined) return
      assert(path.startsWith('/app/public/'))
      assert(!path.split('/').includes('..') && !path.includes('\0'))
    }),
  )
})

test('what is no rule is none, and no more than ten are read', () => {
  assert.equal(StaticFiles.of(undefined), undefined)
  assert.equal(StaticFiles.of([]), undefined)
  for (const bad of [null, 'x', {}, rule('relative', '/'), rule('/a', 'x'), rule('/a/../b', '/')])
    assert.equal(StaticFiles.of([bad]), undefined)
  const many = Array.from({ length: 12 }, (_, at) => rule('/a', `/p${at}`))
  assert.equal(pathOf(StaticFiles.of(many), '/p9/x'), '/a/x')
  assert.equal(pathOf(StaticFiles.of(many), '/p10/x'), undefined)
  const bucket = StaticFiles.of([rule('public', '/', { tigris_bucket: 'b' })])
  assert.equal(bucket?.find('/x')?.rule.bucket, 'b')
})

test('what one proxy asks of another is read as it was meant, and nothing above the root is', () => {
  const order = { root: '/app/pub lic', path: '/app/pub lic/ä%2F.txt' }
  assert.deepEqual(readOrder(writeOrder(order)), order)
  for (const bad of [
    undefined,
    '',
    'x',
    '/a',
    '/a /a',
    '/a /b/c',
    '/a /a/../b',
    '% /a',
    '/a /a/b c',
  ])
    assert.equal(readOrder(bad), undefined, String(bad))
  assert.deepEqual(readOrder(writeOrder({ root: '', path: '/x' })), { root: '', path: '/x' })
})

const FILE = { path: '/app/a.css', bytes: 1_000, modifiedS: 1_700_000_000 }
const MODIFIED = 'Tue, 14 Nov 2023 22:13:20 GMT'
const TAG = '"6553f100-3e8"'
const ask = (headers: Record<string, string> = {}, file = FILE) => {
  const { status, start, end, headers: said } = answerFile(file, (name) => headers[name])
  return { status, range: `${start}-${end}`, said }
}

test('a file is told with its type, length and validators', () => {
  const { status, range, said } = ask()
  assert.deepEqual([status, range], [200, '0-1000'])
  assert.deepEqual(said, {
    etag: TAG,
    'last-modified': MODIFIED,
    'accept-ranges': 'bytes',
    'content-type': 'text/css; charset=utf-8',
    'content-length': '1000',
  })
  const unknown = ask({}, { ...FILE, path: '/app/x.nosuchtype' })
  assert.equal(unknown.said['content-type'], 'application/octet-stream')
  assert.equal(ask({}, { ...FILE, bytes: 0 }).said['content-length'], '0')
})

test('conditions are weighed in the order of RFC 9110', () => {
  const statusOf = (headers: Record<string, string>) => ask(headers).status
  assert.equal(statusOf({ 'if-none-match': TAG }), 304)
  assert.equal(statusOf({ 'if-none-match': `"x", W/${TAG}` }), 304)
  assert.equal(statusOf({ 'if-none-match': '*' }), 304)
  assert.equal(statusOf({ 'if-none-match': '"x"', 'if-modified-since': MODIFIED }), 200)
  assert.equal(statusOf({ 'if-modified-since': MODIFIED }), 304)
  assert.equal(statusOf({ 'if-modified-since': 'Tue, 14 Nov 2023 22:13:19 GMT' }), 200)
  assert.equal(statusOf({ 'if-modified-since': 'nonsense' }), 200)
  assert.equal(statusOf({ 'if-match': '"x"' }), 412)
  assert.equal(statusOf({ 'if-match': `W/${TAG}` }), 412)
  assert.equal(
    statusOf({ 'if-match': TAG, 'if-unmodified-since': 'Tue, 14 Nov 2000 22:13:19 GMT' }),
    200,
  )
  assert.equal(statusOf({ 'if-unmodified-since': 'Tue, 14 Nov 2023 22:13:19 GMT' }), 412)
})

test('one range is served, several and nonsense get the whole file', () => {
  const rangeOf = (range: string, more = {}) => {
    const { status, range: bytes, said } = ask({ range, ...more })
    return `${status} ${bytes} ${said['content-range'] ?? ''}`
  }
  assert.equal(rangeOf('bytes=0-9'), '206 0-10 bytes 0-9/1000')
  assert.equal(rangeOf('bytes=990-'), '206 990-1000 bytes 990-999/1000')
  assert.equal(rangeOf('bytes=-5'), '206 995-1000 bytes 995-999/1000')
  assert.equal(rangeOf('bytes=-5000'), '206 0-1000 bytes 0-999/1000')
  assert.equal(rangeOf('bytes=0-5000'), '206 0-1000 bytes 0-999/1000')
  assert.equal(rangeOf('bytes=1000-'), '416 0-0 bytes */1000')
  assert.equal(rangeOf('bytes=-0'), '416 0-0 bytes */1000')
  for (const odd of ['bytes=', 'bytes=-', 'bytes=5-2', 'bytes=0-1,4-5', 'lines=0-1', 'bytes=a-b'])
    assert.equal(rangeOf(odd), '200 0-1000 ')
  assert.equal(rangeOf('bytes=0-9', { 'if-range': '"x"' }), '200 0-1000 ')
  assert.equal(rangeOf('bytes=0-9', { 'if-range': TAG }), '206 0-10 bytes 0-9/1000')
})
