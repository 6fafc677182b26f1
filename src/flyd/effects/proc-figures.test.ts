import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import {
  cpuFigures,
  diskFigures,
  fileFigures,
  loadFigures,
  memoryFigures,
  netFigures,
} from './proc-figures.ts'

const shown = (figures: ReturnType<typeof memoryFigures>) =>
  figures.map(({ name, value, labels = {} }) => [name, ...Object.values(labels), value].join(' '))

test('what a kernel writes becomes figures under the documented names', () => {
  assert.deepEqual(shown(memoryFigures('MemTotal:   1024 kB\nMemFree:     1 kB\nHugePages: 3\n')), [
    'fly_instance_memory_mem_total 1048576',
    'fly_instance_memory_mem_free 1024',
  ])
  const cpus = shown(cpuFigures('cpu  9 9 9\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu1 1\nintr 5\n'))
  assert.equal(cpus.length, 11)
  assert.deepEqual(cpus.slice(9), ['fly_instance_cpu 0 guest_nice 10', 'fly_instance_cpu 1 user 1'])
  assert.deepEqual(shown(loadFigures('0.50 1.25 2.00 1/80 99\n')), [
    'fly_instance_load_average 1 0.5',
    'fly_instance_load_average 5 1.25',
    'fly_instance_load_average 15 2',
  ])
  const disks = shown(
    diskFigures(' 7 0 loop0 1 1\n 254 16 vdb 1 2 3 4 5 6 7 8 9 10 11 12 13\n 254 17 vdb1 1 2\n'),
  )
  assert.equal(disks.length, 11)
  assert.deepEqual(disks.slice(8), [
    'fly_instance_disk_io_in_progress vdb 9',
    'fly_instance_disk_time_io vdb 10',
    'fly_instance_disk_time_io_weighted vdb 11',
  ])
  const net = shown(
    netFigures(
      'Inter-| Receive\n face |bytes packets\n    lo: 1 2\n  eth0:123 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n',
    ),
  )
  assert.equal(net.length, 16)
  assert.deepEqual(
    [net[0], net[8]],
    ['fly_instance_net_recv_bytes eth0 123', 'fly_instance_net_sent_bytes eth0 9'],
  )
  assert.deepEqual(shown(fileFigures('928\t0\t9223372\n')), [
    'fly_instance_filefd_allocated 928',
    'fly_instance_filefd_maximum 9223372',
  ])
})

test('the files of this kernel are read', () => {
  const here = (path: string) => readFileSync(path, 'utf8')
  assert(memoryFigures(here('/proc/meminfo')).length > 5)
  assert(cpuFigures(here('/proc/stat')).length >= 4)
  assert.equal(loadFigures(here('/proc/loadavg')).length, 3)
  assert.equal(fileFigures(here('/proc/sys/fs/file-nr')).length, 2)
  netFigures(here('/proc/net/dev'))
  diskFigures(here('/proc/diskstats'))
})

test('nonsense of a guest is no figure', () => {
  const nonsense = [
    '',
    '\n\n',
    'MemTotal: x kB',
    'cpu0 a b',
    'vda',
    '  eth0',
    ':::',
    '1 2',
    '\0'.repeat(9),
  ]
  for (const text of nonsense) {
    const all = [memoryFigures, cpuFigures, diskFigures, netFigures].flatMap((of) => of(text))
    assert.deepEqual(all, [], JSON.stringify(text))
    assert(loadFigures(text).every(({ value }) => Number.isFinite(value)))
  }
})
