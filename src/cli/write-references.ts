/** `npm run docs`: writes the manuals that are made from the sources. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { commandReference } from './command-reference.ts'
import { errorReference } from './error-reference.ts'

const root = join(import.meta.dirname, '..', '..')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
writeFileSync(join(root, 'docs', 'commands.md'), await commandReference(version))
writeFileSync(join(root, 'docs', 'errors.md'), errorReference(root))
