import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { block, fieldsOf, frame, GET, HELLO, TestServer, uint32 } from './connection.fixture.ts'
import { Code, Flag, Type } from './frame.ts'
import { HpackDecoder } from './hpack-decoder.ts'
import { CONNECTION_WINDOW, STREAM_WINDOW } from './receive-window.ts'

const END = Flag.endStream | Flag.endHeaders
const POST = [[':method', 'POST'] as const, ...GET.slice(1)]
const get = (id: number, more: readonly (readonly [string, string])[] = []) =>
  frame(Type.headers, END, id, block([...GET, ...more]))
const post = (id: number, more: readonly (readonly [string, string])[] = []) =>
  frame(Type.headers, Flag.endHeaders, id, block([...POST, ...more]))
const data = (id: number, length: number, flags = 0) =>
  frame(Type.data, flags, id, Buffer.alloc(length, 'd'))
const reset = (id: number, code: number) => ({
  ...{ type: Type.rstStream as number, flags: 0, stream: id },
  payload: uint32(code),
})

/** A server that was greeted, and has said its own settings. */
function greeted(options: { streamsMax?: number } = {}): TestServer {
  const server = new TestServer(options).say(HELLO)
  server.sent()
  return server
}

/** Ends with this code for the whole connection. */
function assertBroken(server: TestServer, code: number): void {
  const last = server.sent().at(-1)
  assert.equal(last?.type, Type.goAway)
  assert.deepEqual(last.payload.subarray(4), uint32(code))
  assert.equal(server.connection.isOver, true)
}

test('settings come first, and those of the client are acknowledged', () => {
  const frames = new TestServer().say(HELLO).sent()
  assert.deepEqual(
    frames.map(({ type, flags }) => [type, flags]),
    [
      [Type.settings, 0],
      [Type.windowUpdate, 0],
      [Type.settings, Flag.ack],
    ],
  )
})

test('a request is written as HTTP/1.1 has it, cookies in one line', () => {
  const server = greeted().say(
    get(1, [
      ['cookie', 'a=1'],
      ['x-one', 'two'],
      ['cookie', 'b=2'],
    ]),
  )
  assert.deepEqual(server.events, [
    '1 begin GET / HTTP/1.1\r\nHost: a.test\r\nx-one: two\r\ncookie: a=1; b=2\r\n\r\n',
  ])
})

test('a body without a length is chunked; its trailer section comes at its end', () => {
  const trailer = frame(Type.headers, END, 1, block([['x-sum', '7']]))
  const server = greeted().say(Buffer.concat([post(1), data(1, 5), trailer]))
  assert.deepEqual(server.events, [
    '1 begin POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n',
    '1 ended x-sum: 7\r\n\r\n',
  ])
  assert.equal(String(server.bodies.get(1)), 'ddddd')
})

test('a WebSocket is an upgrade', () => {
  const fields = [
    [':method', 'CONNECT'],
    [':protocol', 'websocket'],
    ...GET.slice(1),
    ['sec-websocket-version', '13'],
  ] as const
  const server = greeted().say(frame(Type.headers, Flag.endHeaders, 1, block(fields)))
  assert.match(
    String(server.events[0]),
    /^1 begin GET \/ HTTP\/1.1\r\nHost: a.test\r\nsec-websocket-version: 13\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: KEY\r\n\r\n$/,
  )
})

const malformed: [why: string, fields: readonly (readonly [string, string])[]][] = [
  ['a capital', [...GET, ['X-One', '1']]],
  ['a space in a name', [...GET, ['x one', '1']]],
  ['no name', [...GET, ['', '1']]],
  ['a line end', [...GET, ['x-one', '1\r\nx-two: 2']]],
  ['a zero octet', [...GET, ['x-one', '\0']]],
  ['a space before a value', [...GET, ['x-one', ' 1']]],
  ['a space behind a value', [...GET, ['x-one', '1\t']]],
  ['connection', [...GET, ['connection', 'close']]],
  ['transfer-encoding', [...GET, ['transfer-encoding', 'chunked']]],
  ['upgrade', [...GET, ['upgrade', 'websocket']]],
  ['keep-alive', [...GET, ['keep-alive', '1']]],
  ['proxy-connection', [...GET, ['proxy-connection', 'close']]],
  ['te', [...GET, ['te', 'gzip']]],
  ['another host', [...GET, ['host', 'b.test']]],
  ['a method twice', [...GET, [':method', 'GET']]],
  ['a pseudo-header field behind others', [...GET.slice(0, 3), ['x', '1'], ...GET.slice(3)]],
  ['a pseudo-header field that nobody knows', [...GET, [':other', '1']]],
  ['a status', [...GET, [':status', '200']]],
  ['no method', GET.slice(1)],
  ['no scheme', [GET[0] ?? ['', ''], ...GET.slice(2)]],
  ['no path', [...GET.slice(0, 2), ...GET.slice(3)]],
  ['a protocol of GET', [...GET, [':protocol', 'websocket']]],
]

for (const [why, fields] of malformed) {
  test(`malformed: ${why}`, () => {
    const server = greeted().say(
      Buffer.concat([frame(Type.headers, END, 1, block(fields)), get(3)]),
    )
    assert.deepEqual(server.sent(), [reset(1, Code.protocolError)])
    assert.equal(server.events.length, 1, 'the next one is served')
  })
}

const refused: [why: string, fields: readonly (readonly [string, string])[]][] = [
  ['a space in the path', [...GET.slice(0, 2), [':path', '/ HTTP/1.1\r\nx: y'], ...GET.slice(3)]],
  ['an absolute path', [...GET.slice(0, 2), [':path', 'http://b.test/'], ...GET.slice(3)]],
  ['an empty path', [...GET.slice(0, 2), [':path', ''], ...GET.slice(3)]],
  ['a space in the method', [[':method', 'G ET'], ...GET.slice(1)]],
  ['an authority with a user', [...GET.slice(0, 3), [':authority', 'u@a.test']]],
  ['CONNECT', [[':method', 'CONNECT'], ...GET.slice(3)]],
  [
    'CONNECT of what is no WebSocket',
    [[':method', 'CONNECT'], [':protocol', 'ip'], ...GET.slice(1)],
  ],
]

for (const [why, fields] of refused) {
  test(`answered with a fault: ${why}`, () => {
    const server = greeted().say(frame(Type.headers, END, 1, block(fields)))
    assert.match(String(server.events[0]), /^1 begin fault -\d+$/)
  })
}

test('a length that the body has not is refused: more, less, and with trailers', () => {
  const length: [string, string][] = [['content-length', '5']]
  for (const body of [data(1, 6), data(1, 4, Flag.endStream)]) {
    const server = greeted().say(post(1, length))
    const [stream] = server.begun
    if (stream !== undefined) stream.bodyLeft = 5
    server.say(body)
    assert.deepEqual(server.sent(), [reset(1, Code.protocolError)])
  }
})

test('a head may come in as many pieces as it likes, and a body with padding', () => {
  const whole = block([...POST, ['x-long', 'v'.repeat(5000)]])
  const padded = Buffer.concat([Buffer.from([3]), Buffer.from('hello'), Buffer.alloc(3)])
  const prioritised = Buffer.concat([
    Buffer.from([2]),
    Buffer.alloc(5),
    block(GET),
    Buffer.alloc(2),
  ])
  const bytes = Buffer.concat([
    HELLO,
    frame(Type.headers, 0, 1, whole.subarray(0, 10)),
    frame(Type.continuation, 0, 1, whole.subarray(10, 4000)),
    frame(Type.continuation, Flag.endHeaders, 1, whole.subarray(4000)),
    frame(Type.data, Flag.padded | Flag.endStream, 1, padded),
    frame(Type.headers, END | Flag.padded | Flag.priority, 3, prioritised),
    frame(Type.ping, 0, 0, Buffer.alloc(8, 'p')),
    frame(77, 0, 9, Buffer.from('of no meaning')),
  ])
  const told = new TestServer().say(bytes)
  assert.equal(String(told.bodies.get(1)), 'hello')
  assert.equal(told.events.length, 3)
  const sent = told.sent()
  const cut = fc.uniqueArray(fc.nat(bytes.length), { maxLength: 60 })
  fc.assert(
    fc.property(cut, (pieces) => {
      const server = new TestServer().say(
        bytes,
        [...pieces].sort((one, other) => one - other),
      )
      assert.deepEqual(server.events, told.events)
      assert.deepEqual(server.bodies, told.bodies)
      assert.deepEqual(server.sent(), sent)
      assert.equal(server.connection.isWithinHead, false)
      assert.equal(server.pool.outBytes, 0)
    }),
  )
  const server = new TestServer().say(bytes, [...bytes.keys()])
  assert.deepEqual(server.events, told.events)
})

const broken: [why: string, code: number, frames: Buffer][] = [
  ['a stream of an even number', Code.protocolError, frame(Type.headers, END, 2, block(GET))],
  ['HEADERS of no stream', Code.protocolError, frame(Type.headers, END, 0, block(GET))],
  ['DATA of no stream', Code.protocolError, data(0, 1)],
  ['DATA of a stream that nobody began', Code.protocolError, data(7, 1)],
  ['RST_STREAM of such a stream', Code.protocolError, frame(Type.rstStream, 0, 7, uint32(8))],
  ['WINDOW_UPDATE of such a stream', Code.protocolError, frame(Type.windowUpdate, 0, 7, uint32(1))],
  ['WINDOW_UPDATE of nothing', Code.protocolError, frame(Type.windowUpdate, 0, 0, uint32(0))],
  ['a window too large', Code.flowControlError, frame(Type.windowUpdate, 0, 0, uint32(0x7fffffff))],
  [
    'PUSH_PROMISE',
    Code.protocolError,
    frame(Type.pushPromise, Flag.endHeaders, 1, Buffer.alloc(4)),
  ],
  ['CONTINUATION of nothing', Code.protocolError, frame(Type.continuation, 4, 1, block(GET))],
  ['PING of 7 octets', Code.frameSizeError, frame(Type.ping, 0, 0, Buffer.alloc(7))],
  ['PING of a stream', Code.protocolError, frame(Type.ping, 0, 1, Buffer.alloc(8))],
  ['SETTINGS of 5 octets', Code.frameSizeError, frame(Type.settings, 0, 0, Buffer.alloc(5))],
  ['SETTINGS of a stream', Code.protocolError, frame(Type.settings, 0, 1)],
  [
    'an initial window too large',
    Code.flowControlError,
    frame(Type.settings, 0, 0, Buffer.from('0004ffffffff', 'hex')),
  ],
  [
    'a frame size too small',
    Code.protocolError,
    frame(Type.settings, 0, 0, Buffer.from('0005000000ff', 'hex')),
  ],
  [
    'a push that is neither on nor off',
    Code.protocolError,
    frame(Type.settings, 0, 0, Buffer.from('000200000002', 'hex')),
  ],
  ['SETTINGS without end', Code.enhanceYourCalm, frame(Type.settings, 0, 0, Buffer.alloc(33 * 6))],
  [
    'padding longer than its frame',
    Code.protocolError,
    frame(Type.headers, END | Flag.padded, 1, Buffer.from([9, 0x82])),
  ],
  [
    'a frame longer than was allowed',
    Code.frameSizeError,
    frame(Type.ping, 0, 0, Buffer.alloc((16 << 10) + 1)),
  ],
  ['no block', Code.compressionError, frame(Type.headers, END, 1, Buffer.from([0x80]))],
  [
    'another frame within a head',
    Code.protocolError,
    Buffer.concat([frame(Type.headers, 0, 1, block(GET)), frame(Type.ping, 0, 0, Buffer.alloc(8))]),
  ],
  [
    'DATA within a head',
    Code.protocolError,
    Buffer.concat([frame(Type.headers, 0, 1, block(GET)), data(1, 1)]),
  ],
  [
    'CONTINUATION without end',
    Code.enhanceYourCalm,
    Buffer.concat([
      frame(Type.headers, 0, 1, block(GET)),
      ...Array.from({ length: 40 }, () => frame(Type.continuation, 0, 1)),
    ]),
  ],
  [
    'a head without end',
    Code.enhanceYourCalm,
    Buffer.concat([
      frame(Type.headers, 0, 1, block(GET)),
      ...Array.from({ length: 3 }, () => frame(Type.continuation, 0, 1, Buffer.alloc(16 << 10))),
    ]),
  ],
]

for (const [why, code, frames] of broken) {
  test(`ends the connection: ${why}`, () => assertBroken(greeted().say(frames), code))
}

test('what is no HTTP/2, or begins without SETTINGS, is ended', () => {
  assertBroken(new TestServer().say(Buffer.from('GET / HTTP/1.1\r\n\r\n')), Code.protocolError)
  const without = Buffer.concat([HELLO.subarray(0, 24), frame(Type.ping, 0, 0, Buffer.alloc(8))])
  assertBroken(new TestServer().say(without), Code.protocolError)
})

test('a client that sends more than the windows allow is stopped', () => {
  const server = greeted()
  server.takesBodies = false
  server.say(post(1))
  for (let sent = 0; sent < STREAM_WINDOW; sent += 16 << 10) server.say(data(1, 16 << 10))
  assert.equal(server.bodies.get(1)?.length, STREAM_WINDOW)
  assert.deepEqual(server.sent(), [])
  server.say(data(1, 1))
  assert.deepEqual(server.sent(), [reset(1, Code.flowControlError)])
  for (let id = 3; id <= 9; id += 2) {
    server.say(post(id))
    for (let sent = 0; sent < STREAM_WINDOW && !server.connection.isOver; sent += 16 << 10)
      server.say(data(id, 16 << 10))
  }
  assertBroken(server, Code.flowControlError)
})

test('what was handed on may be sent again', () => {
  const server = greeted().say(post(1))
  for (let sent = 0; sent < 4 * CONNECTION_WINDOW; sent += 16 << 10) {
    server.say(data(1, 16 << 10))
    assert.equal(server.connection.isOver, false)
  }
  const updates = server.sent()
  assert(updates.some(({ type, stream }) => type === Type.windowUpdate && stream === 0))
  assert(updates.every(({ type }) => type === Type.windowUpdate))
  assert.equal(server.bodies.get(1)?.length, 4 * CONNECTION_WINDOW)
})

test('streams whose bodies nobody takes do not stop another', () => {
  const server = greeted()
  server.takesBodies = false
  for (let id = 1; id <= 7; id += 2) {
    server.say(post(id))
    for (let sent = 0; sent < STREAM_WINDOW - 1024; sent += 1024) server.say(data(id, 1024))
  }
  server.takesBodies = true
  server.say(post(9))
  let left = CONNECTION_WINDOW - 4 * (STREAM_WINDOW - 1024)
  for (let sent = 0; sent < 1 << 20; sent += 1024) {
    left -= 1024
    assert(left >= 0, 'the client may send')
    server.say(data(9, 1024))
    for (const { type, stream, payload } of server.sent())
      if (type === Type.windowUpdate && stream === 0) left += payload.readUInt32BE(0)
  }
  assert.equal(server.connection.isOver, false)
})

test('no more is sent than the windows of the client allow, in frames that every client takes', () => {
  const body = Buffer.alloc(200_000, 'r')
  const server = greeted().say(Buffer.concat([get(1), get(3)]))
  const [first, second] = server.begun
  assert(first !== undefined && second !== undefined)
  const { connection } = server
  assert.equal(connection.data(first, body, 0, body.length), 65_535)
  assert.equal(connection.data(second, body, 0, 10), 0)
  const frames = server.sent()
  assert(frames.every(({ payload }) => payload.length <= 16 << 10))
  server.say(frame(Type.windowUpdate, 0, 0, uint32(100_000)))
  assert.deepEqual([first.opened, second.opened], [0, 1], 'the window of the first is spent')
  server.say(frame(Type.settings, 0, 0, Buffer.from('000400020000', 'hex'))) // 128 KiB
  assert.equal(first.opened, 1)
  assert.equal(connection.data(first, body, 0, body.length), (128 << 10) - 65_535)
  server.say(frame(Type.settings, 0, 0, Buffer.from('000400000000', 'hex')))
  assert.equal(connection.data(first, body, 0, 1), 0, 'it is below 0 now')
  assert.equal(connection.data(second, body, 0, 1), 0)
})

test('the end comes with the last data where that has not been sent, else by itself', () => {
  const server = greeted().say(Buffer.concat([get(1), get(3)]))
  const [first, second] = server.begun
  assert(first !== undefined && second !== undefined)
  server.connection.data(first, Buffer.from('one'), 0, 3)
  server.connection.endData(first)
  server.connection.data(second, Buffer.from('two'), 0, 3)
  const [one, two] = server.sent()
  assert.deepEqual([one?.flags, two?.flags], [Flag.endStream, 0])
  server.connection.endData(second)
  const [end] = server.sent()
  assert.deepEqual([end?.stream, end?.flags, end?.payload.length], [3, Flag.endStream, 0])
  assert.equal(server.connection.streams.size, 0)
})

test('a head that is longer than a frame is sent in several', () => {
  const server = greeted().say(get(1))
  const [stream] = server.begun
  assert(stream !== undefined)
  const { connection } = server
  const long = Buffer.alloc(40_000, 'v')
  connection.fields(stream, true, (out) => {
    connection.encoder.begin(out)
    connection.encoder.status(out, 200)
    connection.encoder.field(out, Buffer.from('x-long'), 0, 6, long, 0, long.length)
  })
  const frames = server.sent()
  assert.deepEqual(
    frames.map(({ type, flags }) => [type, flags]),
    [
      [Type.headers, Flag.endStream],
      [Type.continuation, 0],
      [Type.continuation, Flag.endHeaders],
    ],
  )
  const payload = Buffer.concat(frames.map((one) => one.payload))
  // Longer than a decoder of ours takes: it is read by its parts.
  assert.equal(payload.subarray(-40_000).equals(long), true)
  assert.equal(payload.length, 40_000 + 1 + 1 + 7 + 4)
})

test('more streams than were allowed are refused, and may be begun again', () => {
  const server = greeted({ streamsMax: 2 }).say(Buffer.concat([get(1), get(3), get(5)]))
  assert.deepEqual(server.sent(), [reset(5, Code.refusedStream)])
  const [first] = server.begun
  assert(first !== undefined)
  server.connection.reset(first, Code.cancel)
  server.say(get(7))
  assert.equal(server.connection.streams.size, 2)
})

test('who leaves twice announces it, then serves no new streams', () => {
  const server = greeted().say(get(1))
  const { connection } = server
  connection.announceEnd()
  server.say(get(3))
  connection.refuseNew()
  server.say(get(5))
  assert.deepEqual([...connection.streams.keys()], [1, 3])
  const [announced, last] = server.sent()
  assert.deepEqual(announced?.payload, Buffer.concat([uint32(0x7fffffff), uint32(0)]))
  assert.deepEqual(last?.payload, Buffer.concat([uint32(3), uint32(0)]))
  assert.equal(connection.isLeaving, true)
})

const PRIORITY = Buffer.alloc(5)

const floods: [name: string, code: string, one: (index: number) => Buffer, most: number][] = [
  [
    'streams begun and reset',
    'h2-resets',
    (index) =>
      Buffer.concat([get(2 * index + 1), frame(Type.rstStream, 0, 2 * index + 1, uint32(8))]),
    201,
  ],
  [
    'streams that make the server reset them',
    'h2-resets',
    (index) => frame(Type.headers, END, 2 * index + 1, block(GET.slice(1))),
    201,
  ],
  ['PING', 'h2-flood', () => frame(Type.ping, 0, 0, Buffer.alloc(8)), 1001],
  ['SETTINGS', 'h2-flood', () => frame(Type.settings, 0, 0), 1001],
  ['empty DATA', 'h2-flood', (index) => (index === 0 ? post(1) : data(1, 0)), 1001],
  ['WINDOW_UPDATE', 'h2-flood', () => frame(Type.windowUpdate, 0, 0, uint32(1)), 1001],
  ['PRIORITY', 'h2-flood', (index) => frame(Type.priority, 0, 2 * index + 1, PRIORITY), 1001],
  ['frames of no known type', 'h2-flood', () => frame(0x10, 0, 0), 1001],
]

for (const [name, code, one, most] of floods) {
  test(`a flood: ${name}`, () => {
    const server = greeted()
    let count = 0
    while (!server.connection.isOver && count < 3000) {
      server.say(one(count))
      count += 1
      server.sent()
    }
    assert.equal(server.events.at(-1), code)
    assert(count <= most && count >= most - 2, `${count} were taken`)
    const patient = greeted()
    for (let index = 0; index < 3000; index += 1) {
      patient.nowMs += 100
      patient.say(one(index))
    }
    assert.equal(patient.connection.isOver, false, 'as many, over a longer time')
  })
}

test('updates of windows are no flood while what was sent explains them', () => {
  const server = greeted().say(get(1))
  const [stream] = server.begun
  assert(stream !== undefined)
  const piece = Buffer.alloc(100)
  for (let index = 0; index < 5_000; index += 1) {
    assert.equal(server.connection.data(stream, piece, 0, piece.length), piece.length)
    server.sent()
    for (const id of [0, 1]) server.say(frame(Type.windowUpdate, 0, id, uint32(piece.length)))
  }
  for (let id = 3; id < 10_000; id += 2) {
    server.say(frame(Type.priority, 0, id, PRIORITY)).say(get(id))
    server.say(frame(Type.windowUpdate, 0, id, uint32(1 << 20)))
    server.connection.endData(server.begun.at(-1) ?? stream)
    server.sent()
  }
  assert.equal(server.connection.isOver, false)
})

test('a peer that opens its window byte by byte is one that floods', () => {
  const server = greeted().say(get(1))
  const [stream] = server.begun
  assert(stream !== undefined)
  const body = Buffer.alloc(1 << 20)
  let at = server.connection.data(stream, body, 0, body.length)
  let count = 0
  while (!server.connection.isOver && count < 3_000) {
    for (const id of [0, 1]) server.say(frame(Type.windowUpdate, 0, id, uint32(1)))
    at += server.connection.data(stream, body, at, body.length - at)
    server.sent()
    count += 1
  }
  assert.equal(server.events.at(-1), 'h2-flood')
  assert(count < 600, `${count} bytes were sent one by one`)
})

const anyFrame = fc
  .tuple(
    fc.constantFrom(...Object.values(Type), 10, 255),
    fc.nat(255),
    fc.constantFrom(0, 1, 2, 3, 5, 0x7fffffff),
    fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(block(GET), block(POST), uint32(1))),
  )
  .map(([type, flags, stream, payload]) => frame(type, flags, stream, payload))

test('no frames at all make it throw, hang, or keep memory', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(anyFrame, fc.uint8Array({ maxLength: 30 })), { maxLength: 40 }),
      fc.array(fc.nat(1000), { maxLength: 10 }),
      (parts, pieces) => {
        const bytes = Buffer.concat([HELLO, ...parts.map((part) => Buffer.from(part))])
        const ends = pieces.filter((end) => end < bytes.length).sort((one, other) => one - other)
        const server = new TestServer().say(bytes, ends)
        server.connection.dispose()
        server.sent()
        assert.equal(server.pool.outBytes, 0)
        const began = server.events.filter((event) => event.includes('begin')).length
        assert.equal(server.events.filter((event) => event.endsWith('closed')).length, began)
      },
    ),
    { numRuns: 1500 },
  )
})

test('what it answers is read by a decoder', () => {
  const server = greeted().say(get(1))
  const [stream] = server.begun
  assert(stream !== undefined)
  server.connection.fields(stream, true, (out) => {
    server.connection.encoder.begin(out)
    server.connection.encoder.status(out, 404)
  })
  const [head] = server.sent()
  assert(head !== undefined)
  assert.deepEqual(fieldsOf(new HpackDecoder(), head.payload), { ':status': '404' })
})
