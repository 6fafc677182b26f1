/** Subjects of the log as clients may name them. Source: NATS documentation, "Subject-Based Messaging". */

const DEPTH = 4
const TOKEN = /^[^\s.*>]{1,100}$/

/**
 * What `pattern` means of one app's lines, `logs.<app>.<region>.<machine>`, as a subject that names no other app.
 *
 * @returns undefined: none of them
 */
export function narrowedTo(app: string, pattern: string): string | undefined {
  const own = ['logs', app, '*', '*']
  const asked = pattern.split('.')
  const narrowed: string[] = []
  for (const [at, token] of own.entries()) {
    const wanted = asked[at]
    if (wanted === '>' && at === asked.length - 1) return [...narrowed, ...own.slice(at)].join('.')
    if (wanted === undefined) return undefined
    if (wanted === '*' || wanted === token) narrowed.push(token)
    else if (token === '*' && TOKEN.test(wanted)) narrowed.push(wanted)
    else return undefined
  }
  return asked.length === DEPTH ? narrowed.join('.') : undefined
}

/** The app that it names; undefined: it names none, or it is no pattern of the log. */
export function appNamedBy(pattern: string): string | undefined {
  const app = pattern.split('.')[1]
  return app !== undefined && narrowedTo(app, pattern) !== undefined && TOKEN.test(app)
    ? app
    : undefined
}

/** Can it mean a line of any app? */
export const isOfLog = (pattern: string): boolean =>
  narrowedTo(appNamedBy(pattern) ?? 'app', pattern) !== undefined
