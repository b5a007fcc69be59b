
'use strict';
const form = document.querySelector('form');
const told = document.querySelector('[role=alert]');
const button = document.querySelector('button');

// The words of an answer, in the inherited form or in that of a problem document, without the id in front.
async function words(answer) {
  const body = await answer.json();
  return (body.reason || body.detail || form.dataset.silent).replace(/^[A-Z]+[0-9]+E: /, '');
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  button.disabled = true;
  told.textContent = '';
  try {
    const answer = await fetch('login', {
      method: 'POST',
      headers: { 'Accept': 'application/json', 'Content-Type': 'application/json' },
      body: JSON.stringify({ username: form.username.value, password: form.password.value }),
    });
    if (answer.ok) {
      // The server has seen that this leads to itself.
      location.replace(form.dataset.next);
      return;
    }
    told.textContent = await words(answer);
  } catch {
    told.textContent = form.dataset.silent;
  }
  button.disabled = false;
  form.password.value = '';
  form.password.focus();
});
