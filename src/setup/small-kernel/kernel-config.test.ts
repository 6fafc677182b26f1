import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { missingOptions } from './kernel-config.ts'

test('an option that the kernel did not take is named', () => {
  const fragment = '# why\nCONFIG_A=y\n\nCONFIG_B=32\nCONFIG_C=y\n'
  const configuration = 'CONFIG_A=y\nCONFIG_B=64\n# CONFIG_C is not set\nCONFIG_D=y\n'
  assert.deepEqual(missingOptions(fragment, configuration), ['CONFIG_B=32', 'CONFIG_C=y'])
  assert.deepEqual(missingOptions(fragment, `${configuration}${fragment}`), [])
})

test('the small kernel asks for no option twice, and for no module', () => {
  const path = join(import.meta.dirname, '../../../native/kernel/config')
  const options = readFileSync(path, 'utf8').match(/^CONFIG_\w+=.*$/gm) ?? []
  const names = options.map((option) => option.split('=')[0])
  assert.equal(new Set(names).size, names.length)
  assert.deepEqual(
    options.filter((option) => option.endsWith('=m')),
    [],
  )
})
