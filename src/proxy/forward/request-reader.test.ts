import assert from 'node:assert/strict'
import test from 'node:test'
import { Fault } from '../http1/fault.ts'
import { Memory, MemoryPool } from '../net/memory.ts'
import { defaultLimits } from './limits.ts'
import { RequestReader, type RequestSink } from './request-reader.ts'

const POOL = { size: 64, bytesMax: 1 << 20 }

interface Cut {
  readonly text: string
  /** Where the second of two pieces begins. */
  readonly at: number
  /** Requests are answered once all has come, not as soon as each is whole. */
  readonly isLate: boolean
}

/** What is told of the requests in `text`. */
function readCut({ text, at, isLate }: Cut, heads = new MemoryPool(POOL)): string {
  const told: string[] = []
  let body = ''
  const answer = () => {
    if (!isLate) reader.next()
  }
  const refuse = (why: string) => {
    told.push(why)
    reader.stop()
  }
  const sink: RequestSink = {
    headBegun: () => undefined,
    headRead: ({ target, hasBody }) => {
      told.push(target)
      if (!hasBody) answer()
    },
    bodyRead: ({ bytes }, start, length) => {
      body += bytes.toString('latin1', start, start + length)
    },
    requestRead: (trailer) => {
      told.push(`'${body}' ${trailer?.toString('latin1').trim() ?? '-'}`)
      body = ''
      answer()
    },
    unreadable: (fault) => refuse(`fault ${fault}`),
    unheld: () => refuse('unheld'),
  }
  const reader = new RequestReader({ heads, limits: defaultLimits, loop: { nowMs: 0 } }, sink)
  for (const piece of [text.slice(0, at), text.slice(at)]) {
    if (piece === '') continue
    const memory = new Memory(piece.length)
    memory.bytes.write(piece, 'latin1')
    reader.read(memory, 0, piece.length)
  }
  while (reader.state === 'whole') reader.next()
  reader.stop()
  assert.equal(heads.outBytes, 0, 'memory was kept')
  return told.join('; ')
}

const GET = 'GET /a HTTP/1.1\r\nHost: h\r\n\r\n'
const POST = 'POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello'
const CHUNKS =
  'POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n'
const NO_HOST = 'GET /d HTTP/1.1\r\n\r\n'

test('requests are read the same wherever they are cut and whenever they are answered, and no memory stays', () => {
  const wanted = new Map([
    [`${GET}${POST}${GET}`, "/a; /b; 'hello' -; /a"],
    [`${CHUNKS}X-T: 1\r\n\r\n${GET}`, "/c; 'abcde' X-T: 1; /a"],
    [`${POST}${NO_HOST}${GET}`, `/b; 'hello' -; fault ${Fault.host}`],
    [`${CHUNKS.replace('3\r\n', '3x\r\n')}\r\n${GET}`, `/c; fault ${Fault.chunk}`],
    [`${GET}GET /unfinished`, '/a'],
  ])
  for (const [text, told] of wanted) {
    for (const isLate of [false, true]) {
      for (let at = 1; at <= text.length; at += 1)
        assert.equal(readCut({ text, at, isLate }), told, `cut at ${at}, late: ${isLate}`)
    }
  }
})

test('what cannot be held is told, whether it is part of a head or a request behind another', () => {
  const pool = () => new MemoryPool({ size: 64, bytesMax: 32 })
  assert.equal(readCut({ text: GET, at: 10, isLate: false }, pool()), 'unheld')
  assert.equal(readCut({ text: GET + GET, at: GET.length + 1, isLate: true }, pool()), '/a; unheld')
})
