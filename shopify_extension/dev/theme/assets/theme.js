/* What themes do: options choose a variant, the form goes to the cart without leaving the page. */
(() => {
  const section = document.querySelector('.product');
  const form = document.querySelector('#product-form');
  if (!section || !form) return;
  const variants = JSON.parse(section.querySelector('script[data-variants]').textContent);
  const picked = (name) => section.querySelector(`[name=${name}]:checked`).value;

  const follow = () => {
    const colour = picked('Colour');
    const variant = variants.find(({ options }) => options[0] === colour && options[1] === picked('Size'));
    for (const picture of section.querySelectorAll('[data-colour]')) picture.hidden = picture.dataset.colour !== colour;
    for (const input of section.querySelectorAll('[name=Size]')) {
      const other = variants.find(({ options }) => options[0] === colour && options[1] === input.value);
      input.parentElement.toggleAttribute('data-sold-out', !other.available);
    }
    form.elements.add.disabled = !variant.available;
    form.elements.add.textContent = variant.available ? 'Add to cart' : 'Sold out';
    form.elements.id.value = String(variant.id);
    form.elements.id.dispatchEvent(new Event('change', { bubbles: true }));
  };
  section.addEventListener('change', (event) => {
    if (event.target.matches('[type=radio]')) follow();
  });

  const showCount = async () => {
    const cart = await (await fetch('/cart.js')).json();
    document.querySelector('[data-cart-count]').textContent = String(cart.item_count);
  };
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const fields = [...new FormData(form)];
    const named = fields.map(([name, value]) => [/^properties\[(.+)\]$/.exec(name)?.[1], value]);
    const properties = Object.fromEntries(named.filter(([name]) => name));
    const body = JSON.stringify({ items: [{ id: Number(form.elements.id.value), quantity: 1, properties }] });
    const response = await fetch('/cart/add.js', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    form.elements.add.textContent = response.ok ? 'Added' : 'Sold out';
    await showCount();
  });
  // The frame's own "add to cart" does not pass through the form.
  document.addEventListener('close', () => void showCount(), { capture: true });
})();
