import assert from 'node:assert/strict'
import test from 'node:test'
import { commandOf, envOf, parseImageConfig } from './image-config.ts'
import { resolveUser } from './image-user.ts'

const files = {
  passwd:
    'root:x:0:0:root:/root:/bin/sh\napp:x:100:101::/srv:/bin/sh\nbroken\nnobody:x:65534:65534::/:',
  group: 'root:x:0:\napp:x:101:\nlog:x:7:app,nobody\nnogroup:x:65534:',
}

test('users and groups are those of the image, numbers need no entry', () => {
  for (const [text, uid, gid, groups, home] of [
    ['', 0, 0, [], '/root'],
    ['app', 100, 101, [7], '/srv'],
    ['100', 100, 101, [7], '/srv'],
    ['1000', 1000, 0, [], '/'],
    ['1000:5', 1000, 5, [], '/'],
    ['nobody:nogroup', 65_534, 65_534, [], '/'],
  ] as const) {
    assert.deepEqual(resolveUser(text, files), { uid, gid, groups, home }, text)
  }
  for (const text of ['ghost', 'app:ghost', 'a:b:c', '99999999999', '-1']) {
    assert.throws(() => resolveUser(text, files), { code: 'image.user_unknown' }, text)
  }
  assert.equal(resolveUser('', { passwd: '', group: '' }).uid, 0)
})

test('entrypoint, cmd and env are joined and overridden as the format says', () => {
  const document = {
    config: { Entrypoint: ['/e'], Cmd: ['a'], Env: ['A=1=2', 'B', 'A=3'], User: null },
    rootfs: { type: 'layers', diff_ids: [] },
  }
  const config = parseImageConfig(Buffer.from(JSON.stringify(document)))
  assert.deepEqual([config.workingDir, config.user, config.stopSignal], ['/', '', 'SIGTERM'])
  assert.deepEqual(commandOf(config), ['/e', 'a'])
  assert.deepEqual(commandOf(config, { cmd: ['b'] }), ['/e', 'b'])
  assert.deepEqual(commandOf(config, { entrypoint: ['/x'] }), ['/x'])
  assert.throws(() => commandOf(config, { entrypoint: [] }), { code: 'image.config_bad' })
  assert.deepEqual(
    [...envOf(config)],
    [
      ['A', '3'],
      ['B', ''],
    ],
  )
})
