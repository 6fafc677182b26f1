import assert from 'node:assert/strict'
import test from 'node:test'
import { Memory, MemoryPool } from '../net/memory.ts'
import { ResponseReader, type ResponseSink } from './response-reader.ts'

const POOL = { size: 64, bytesMax: 1 << 20 }

/** Feeds `text` in two pieces, and tells what was read of it. */
function readCut(text: string, cut: number, pool = new MemoryPool(POOL)): string {
  const told: string[] = []
  let body = ''
  const sink: ResponseSink = {
    informed: ({ status }) => void told.push(`1xx ${status}`),
    switched: ({ status }, _memory, start, end) => void told.push(`${status} +${end - start}`),
    headRead: ({ status }) => void told.push(`head ${status}`),
    bodyRead: ({ bytes }, start, length) => {
      body += bytes.toString('latin1', start, start + length)
    },
    responseRead: (trailer, hasExcess) =>
      void told.push(`'${body}' ${trailer?.toString('latin1').trim() ?? '-'} ${hasExcess}`),
    unreadable: (fault) => {
      told.push(fault)
      reader.stop()
    },
  }
  const reader = new ResponseReader(sink, pool, 1024)
  reader.begin(false)
  for (const piece of [text.slice(0, cut), text.slice(cut)]) {
    if (piece === '') continue
    const memory = new Memory(piece.length)
    memory.bytes.write(piece, 'latin1')
    reader.read(memory, 0, piece.length)
  }
  reader.stop()
  assert.equal(pool.outBytes, 0, 'memory was kept')
  return told.join('; ')
}

test('a response is read the same wherever it is cut, and no memory stays behind', () => {
  const hints = 'HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n'
  const wanted = new Map([
    ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', "head 200; 'hello' - false"],
    [`${hints}HTTP/1.1 204 No\r\n\r\n`, "1xx 103; head 204; '' - false"],
    [
      `${hints}HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\nX-T: 1\r\n\r\n`,
      "1xx 103; head 200; 'abcde' X-T: 1 false",
    ],
    ['HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n', 'contentLength'],
  ])
  for (const [text, told] of wanted) {
    for (let cut = 1; cut <= text.length; cut += 1) assert.equal(readCut(text, cut), told, `${cut}`)
  }
})

test('bytes behind a response are told as excess, and never as its body', () => {
  const text = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n'
  const bodyEnd = text.indexOf('okH') + 2
  for (let cut = 1; cut < bodyEnd; cut += 1)
    assert.equal(readCut(text, cut), "head 200; 'ok' - true")
})

test('a head for which there is no memory left is told as such', () => {
  const pool = new MemoryPool({ size: 64, bytesMax: 32 })
  assert.equal(readCut('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n', 10, pool), 'memory')
})
