import { GodwitError } from '#base'

/** A request that ends with a status and a body, before anything was carried out. */
export class ApiError extends GodwitError<'corrosion.request_refused'> {
  static override readonly catalogue = { 'corrosion.request_refused': { status: 400 } } as const

  readonly status: number
  readonly body: string
  /** null: none is sent, as Corrosion does on streams. */
  readonly contentType: string | null
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    body: string,
    contentType: string | null,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super('corrosion.request_refused', { what: body || `status ${status}`, values: { status } })
    this.status = status
    this.body = body
    this.contentType = contentType
    this.headers = headers
  }

  static text(status: number, body: string): ApiError {
    return new ApiError(status, body, 'text/plain; charset=utf-8')
  }

  static json(status: number, body: unknown): ApiError {
    return new ApiError(status, JSON.stringify(body), 'application/json')
  }

  /** An error line of an endpoint that streams. */
  static line(status: number, error: string): ApiError {
    return new ApiError(status, `${JSON.stringify({ error })}\n`, null)
  }

  static empty(status: number, headers: Readonly<Record<string, string>> = {}): ApiError {
    return new ApiError(status, '', null, headers)
  }
}
