import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { makeExt4Image } from './ext4-image.ts'

test('an ext4 image has files, owners, modes, devices and links of its tree, and is sound', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-ext4-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const script =
    'mkdir root; cd root; echo hello > a; chown 7:8 a; chmod 4755 a; ln a b; mknod null c 1 3; head -c 40M /dev/urandom > big; truncate -s 1G hole'
  execFileSync('sh', ['-ec', script], { cwd: folder })
  const image = join(folder, 'base.ext4')
  await makeExt4Image(join(folder, 'root'), image)
  execFileSync('e2fsck', ['-fn', image], { stdio: 'pipe' })
  const ask = (request: string) =>
    execFileSync('debugfs', ['-R', request, image], { stdio: 'pipe' }).toString()
  assert.match(ask('stat a'), /Mode: {2}04755[\s\S]*User: +7 +Group: +8[\s\S]*Links: 2/)
  assert.equal(ask('cat b'), 'hello\n')
  assert.match(ask('stat null'), /character special/)
  const missing = makeExt4Image(join(folder, 'root'), join(folder, 'none', 'x'))
  await assert.rejects(missing, { code: 'ENOENT' })
  assert(!existsSync(`${image}.new`))
})
