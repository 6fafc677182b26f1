/**
 * For tests: changes a pool for ever, until it is killed. Its devices are whole or not there: a clone has
 * the bytes of `base`, an import those of the file.
 *
 *   node crash-worker.ts '{"config": DriverConfig, "file": PATH, "seed": NUMBER}'
 */
import { seededRandom } from '#base'
import { parseDeviceId } from './device-id.ts'
import { SIZE_STEP_BYTES } from './device-size.ts'
import { openBlockDriver } from './driver-config.ts'

const { config, file, seed } = JSON.parse(process.argv[2] ?? '{}')
const random = seededRandom(seed)
const holder = parseDeviceId('worker')
const driver = await openBlockDriver(config)
const base = parseDeviceId('base')
process.stdout.write('ready\n')

for (;;) {
  const clone = parseDeviceId(`clone-${random.int(2)}`)
  const imported = parseDeviceId(`import-${random.int(2)}`)
  await driver.clone(clone, base)
  await driver.attach(clone, { holder })
  await driver.importFile(imported, file)
  await driver.extend(clone, 2 * SIZE_STEP_BYTES)
  await driver.detach(clone, holder)
  if (random.int(2) === 0) await driver.remove(clone)
  if (random.int(2) === 0) await driver.remove(imported)
}
