import assert from 'node:assert/strict'
import { test } from 'node:test'
import { moduleDependencies, orderModules } from './kernel-modules.ts'

test('a module file says what it depends on', () => {
  const file = (text: string) => Buffer.from(`\x7fELF\0license=GPL\0${text}\0name=x\0`)
  assert.deepEqual(moduleDependencies(file('depends=virtio,virtio_ring')), [
    'virtio',
    'virtio_ring',
  ])
  assert.deepEqual(moduleDependencies(file('depends=')), [])
  assert.deepEqual(moduleDependencies(file('author=y')), [])
})

test('modules are ordered so that each comes after all that it needs, and once', () => {
  const needs: Record<string, string[]> = { net: ['ring', 'core'], ring: ['core'], disk: ['ring'] }
  assert.deepEqual(
    orderModules(['net', 'disk'], (name) => needs[name] ?? []),
    ['core', 'ring', 'net', 'disk'],
  )
})
