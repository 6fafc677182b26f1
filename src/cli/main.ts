import { Command } from 'commander'
import { planetCommand } from './planet.ts'

await new Command('godwit').enablePositionalOptions().addCommand(planetCommand()).parseAsync()
