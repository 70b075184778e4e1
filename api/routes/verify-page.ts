// The page that the link in a verification mail opens. The token follows `#` and is sent only in the request of the form.
import type { RequestHandler, Router } from 'express'
import { pageRoutes } from '../page.ts'
import { FORM_STYLE } from './reset-page.ts'

export function verifyPage(limit: RequestHandler): Router {
  const page = { title: 'Confirm your email address', scripts: { 'page.js': SCRIPT }, styles: { 'page.css': FORM_STYLE } }
  return pageRoutes('/verify-email', page, limit)
}

const SCRIPT = `
const main = document.getElementById('page')
const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? ''
if (token) history.replaceState(null, '', location.pathname)
const say = (text) => { message.textContent = text }
const form = document.createElement('form')
const label = document.createElement('label')
const input = Object.assign(document.createElement('input'), { type: 'password', required: true, autocomplete: 'current-password' })
const button = Object.assign(document.createElement('button'), { textContent: 'Confirm' })
const message = Object.assign(document.createElement('p'), { role: 'status' })
label.append('The password that you chose when you registered', input)
form.append(label, button, message)
main.append(Object.assign(document.createElement('h1'), { textContent: 'Confirm your email address' }), form)
if (!token) form.replaceWith('Please open the link in the mail again.')
addEventListener('hashchange', () => location.reload())
form.addEventListener('submit', async (event) => {
  event.preventDefault()
  button.disabled = true
  try {
    const response = await fetch('/api/auth/verify-email', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token, password: input.value }),
    })
    if (response.ok) return form.replaceWith('Your address is confirmed. You can log in now.')
    const problem = await response.json()
    say(problem.detail)
  } catch {
    say('The server cannot be reached. Please try again.')
  }
  button.disabled = false
})
`
