// The page that the link in a password reset mail opens. The token follows `#` and is sent only in the request of the form.
import type { RequestHandler, Router } from 'express'
import { pageRoutes } from '../page.ts'

export function resetPage(limit: RequestHandler): Router {
  const page = { title: 'Set a new password', scripts: { 'page.js': SCRIPT }, styles: { 'page.css': FORM_STYLE } }
  return pageRoutes('/reset-password', page, limit)
}

const SCRIPT = `
const main = document.getElementById('page')
const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? ''
if (token) history.replaceState(null, '', location.pathname)
const say = (text) => { message.textContent = text }
const form = document.createElement('form')
const label = document.createElement('label')
const input = Object.assign(document.createElement('input'), { type: 'password', required: true, minLength: 12, autocomplete: 'new-password' })
const button = Object.assign(document.createElement('button'), { textContent: 'Set password' })
const message = Object.assign(document.createElement('p'), { role: 'status' })
label.append('New password, at least 12 characters', input)
form.append(label, button, message)
main.append(Object.assign(document.createElement('h1'), { textContent: 'Set a new password' }), form)
if (!token) form.replaceWith('Please open the link in the mail again.')
addEventListener('hashchange', () => location.reload())
form.addEventListener('submit', async (event) => {
  event.preventDefault()
  button.disabled = true
  try {
    const response = await fetch('/api/auth/reset-password', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token, password: input.value }),
    })
    if (response.ok) return form.replaceWith('Your password is set. You can log in with it now.')
    const problem = await response.json()
    say(problem.errors?.map(({ field, message }) => field + ' ' + message).join('. ') ?? problem.detail)
  } catch {
    say('The server cannot be reached. Please try again.')
  }
  button.disabled = false
})
`

/** The style of pages that consist of one form. */
export const FORM_STYLE = `
main { font: 1rem/1.5 system-ui, sans-serif; max-width: 24rem; margin: 4rem auto; padding: 0 1rem }
label, input, button { display: block; width: 100%; box-sizing: border-box }
input, button { font: inherit; padding: .5rem; margin: .5rem 0 }
`
