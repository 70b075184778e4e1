import { recordEvent } from '../../calls/record-event.ts'
import { deliveryIdentity, readCallEvent, type WebhookRoute } from '../../exotel/call-event.ts'
import type { Queryable } from '../../platform/database.ts'

/** Records the event of a webhook with these fields as the API does. */
export function recordWebhook(database: Queryable, route: WebhookRoute, fields: Record<string, string>) {
  return recordEvent(database, {
    source: 'exotel',
    route,
    identity: deliveryIdentity(route, fields),
    rawBody: Buffer.from('raw'),
    contentType: 'x/y',
    requestId: 'r',
    event: readCallEvent(fields, route),
    fields,
  })
}
