import { Value } from 'typebox/value'
import { findProblems, readableKey } from '#base'
import { type AppConfig, AppConfigSchema } from './app-config.ts'
import { checkApp } from './check/check-app.ts'
import { checkChecks } from './check/check-checks.ts'
import { checkDeploy } from './check/check-deploy.ts'
import { checkMachines } from './check/check-machines.ts'
import { checkMounts } from './check/check-mounts.ts'
import { checkProcesses } from './check/check-processes.ts'
import { checkServices } from './check/check-services.ts'
import { AppConfigError } from './errors.ts'
import { readConfigText } from './find-config.ts'
import type { JsonObject } from './json-object.ts'
import { canonicalForm } from './legacy-forms.ts'
import { type Problem, Problems } from './problem.ts'
import { parseSource, type Source } from './source.ts'

/** A problem with the place in the file that it was found at. */
export interface PlacedProblem {
  readonly severity: Problem['severity']
  /** As people write it: `services[0].internal_port`. */
  readonly key: string
  readonly file: string
  readonly line?: number
  readonly what: string
}

export interface ReadAppConfig {
  readonly file: string
  /** In canonical form, without unknown keys; undefined when a value has the wrong type. */
  readonly config: AppConfig | undefined
  /** The name, which is known however wrong the rest is. */
  readonly app: string | undefined
  readonly problems: readonly PlacedProblem[]
}

/**
 * Reads an app's configuration and tells all that is wrong with it at once. Keys that nobody knows are
 * warnings: a newer client may know them.
 *
 * @throws AppConfigError app_config.not_found, app_config.unreadable, app_config.unparsable
 */
export const readAppConfig = (file: string): ReadAppConfig =>
  checkSource(parseSource(file, readConfigText(file)))

/** As `readAppConfig`, of a document that is there already: a release's, or one over HTTP. */
export const checkDocument = (written: JsonObject, name = 'configuration'): ReadAppConfig =>
  checkSource({ file: name, written, lineOf: () => undefined })

function checkSource(source: Source): ReadAppConfig {
  const { document, moved } = canonicalForm(source.written)
  const problems = new Problems()
  for (const { path, what, isUnknownKey } of findProblems(AppConfigSchema, document)) {
    if (isUnknownKey) problems.warn(path, what)
    else problems.error(path, what)
  }
  const known = Value.Clean(AppConfigSchema, structuredClone(document))
  const config = Value.Check(AppConfigSchema, known) ? known : undefined
  if (config !== undefined) for (const check of CHECKS) check(config, problems)
  const { app } = document
  return {
    file: source.file,
    config,
    app: typeof app === 'string' ? app : undefined,
    problems: problems.found.map((problem) => place(source, moved, problem)),
  }
}

const CHECKS = [
  checkApp,
  checkProcesses,
  checkServices,
  checkChecks,
  checkMounts,
  checkMachines,
  checkDeploy,
] as const

function place(
  source: Source,
  moved: ReadonlyMap<string, string>,
  { severity, path, what }: Problem,
): PlacedProblem {
  const line = source.lineOf(writtenPath(source.written, moved, path))
  const { file } = source
  return { severity, key: readableKey(path), file, ...(line === undefined ? {} : { line }), what }
}

/** Where the author wrote what stands at `path` of the canonical form. */
function writtenPath(
  written: JsonObject,
  moved: ReadonlyMap<string, string>,
  path: string,
): string {
  const [, section = '', index = '', ...rest] = path.split('/')
  const name = moved.get(`/${section}`) ?? `/${section}`
  const isWrapped = /^\d+$/.test(index) && !Array.isArray(written[name.slice(1)])
  return [name, ...(isWrapped || index === '' ? [] : [index]), ...rest].join('/')
}

/**
 * The configuration, when nothing in it is an error.
 *
 * @throws AppConfigError app_config.bad, with every error: file, line, key and what to do
 */
export function deployable(read: ReadAppConfig): AppConfig {
  const errors = read.problems.filter(({ severity }) => severity === 'error')
  if (read.config !== undefined && errors.length === 0) return read.config
  throw new AppConfigError('app_config.bad', {
    what: `App configuration is not valid: ${errors.map(problemText).join('; ')}`,
    values: { file: read.file },
    fix: 'mend what is named; `godwit config validate` shows all of it',
  })
}

/** `fly.toml:12: services[0].internal_port: must be integer, found "x"`. */
export const problemText = ({ file, line, key, what }: PlacedProblem): string =>
  `${file}${line === undefined ? '' : `:${line}`}: ${key}: ${what}`
