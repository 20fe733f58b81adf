document.getElementById('code').value = location.hash.slice(1);
history.replaceState(null, '', '/setup');
